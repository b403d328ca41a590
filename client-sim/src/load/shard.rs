//! The bots of one thread. Each one acts when the input of its next tick is due, as clients do that
//! keep to the server's clock.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gameserver_shared::bot::ThinBots;
use gameserver_transport::close::{CloseCode, CloseReason};
use gameserver_transport::connection::Connection;

use super::bot_rates::{BotRates, BotTraffic};
use super::reporter::Reporter;
use super::stats_window::StatsWindow;
use super::swarm_bot::SwarmBot;
use super::task_delays::TaskDelays;

/// Slices of a tick, in each of which bots receive what came and send what is due.
const SLICES: u32 = 6;
/// No slice is longer, however long the ticks are: less than how early `server_clock` expects
/// snapshots.
const SLICE_MAX: Duration = Duration::from_micros(2_800);
/// A shard that is so late has lost the time: it goes on from now.
const BEHIND_MAX: Duration = Duration::from_millis(100);

/// What a shard is asked to do.
pub(super) enum ShardCommand<G: ThinBots> {
    /// Play this bot too. It is complete: nothing here may take long.
    Add(Box<SwarmBot<G>>),
    /// The player who has been here longest leaves.
    RemoveOldest,
    /// From now on, what bots have counts.
    StartMeasuring,
}

/// All bots that play on one thread.
pub(super) struct Shard<G: ThinBots> {
    bots: Vec<TrackedBot<G>>,
    window: StatsWindow,
    reporter: Reporter,
    /// How long this thread's bots wait for their network.
    task_delays: TaskDelays,
    measuring: Measuring,
    /// What bots had that have left.
    departed: DepartedStats,
}

/// Whether what bots have counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measuring {
    NotYet,
    Started,
}

/// Running totals of bots that have left.
#[derive(Debug, Default)]
struct DepartedStats {
    rates: BotRates,
    kills: u64,
}

/// A bot and what is counted of it.
struct TrackedBot<G: ThinBots> {
    /// Until then the bot itself is not touched: a thousand of them are in no cache.
    idle_until: Option<Instant>,
    bot: Box<SwarmBot<G>>,
    /// Its counters when the window began.
    at_window_start: Counters,
    /// When its part of the measured time began, and its counters then.
    measured_from: Option<(Instant, Counters)>,
    presence: Presence,
    /// Whether it came during the window.
    is_new: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    /// It has left and waits for the server to answer.
    Leaving,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    snapshots: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl<G: ThinBots> TrackedBot<G> {
    fn new(bot: Box<SwarmBot<G>>) -> Self {
        let mut tracked = Self {
            idle_until: None,
            bot,
            at_window_start: Counters::default(),
            measured_from: None,
            presence: Presence::Here,
            is_new: true,
        };
        tracked.at_window_start = tracked.counters();
        tracked
    }

    fn counters(&self) -> Counters {
        let stats = self.bot.connection().stats();
        Counters {
            snapshots: self.bot.snapshots(),
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
        }
    }

    fn is_here(&self) -> bool {
        self.presence == Presence::Here
    }

    /// Its part of the measured time begins, once it receives snapshots.
    fn start_measuring(&mut self, now: Instant) {
        let counters = self.counters();
        if counters.snapshots > 0 {
            self.measured_from = Some((now, counters));
        }
    }

    /// What it had in its part of the measured time.
    fn traffic(&self, now: Instant) -> Option<BotTraffic> {
        let (since, before) = self.measured_from?;
        let counters = self.counters();
        Some(BotTraffic {
            seconds: now.saturating_duration_since(since).as_secs_f64(),
            snapshots: counters.snapshots - before.snapshots,
            bytes_in: counters.bytes_in - before.bytes_in,
            bytes_out: counters.bytes_out - before.bytes_out,
        })
    }
}

impl DepartedStats {
    fn record<G: ThinBots>(&mut self, tracked: &TrackedBot<G>, now: Instant) {
        if let Some(traffic) = tracked.traffic(now).filter(|_| tracked.bot.plays()) {
            self.rates.record(&traffic);
        }
        self.kills += u64::from(tracked.bot.tally().kills);
    }
}

impl<G: ThinBots> Shard<G> {
    pub(super) fn new(reporter: Reporter, task_delays: TaskDelays) -> Self {
        Self {
            bots: Vec::new(),
            window: StatsWindow::default(),
            reporter,
            task_delays,
            measuring: Measuring::NotYet,
            departed: DepartedStats::default(),
        }
    }

    /// Plays until nobody sends commands any more. Returns the connections that are about to end.
    pub(super) fn run(
        mut self,
        commands: &Receiver<ShardCommand<G>>,
        tick: Duration,
    ) -> Vec<Connection> {
        let slice = (tick / SLICES).min(SLICE_MAX);
        let mut due = Instant::now();
        let mut window_due = due + Duration::from_secs(1);
        loop {
            due += slice;
            let late = Instant::now().saturating_duration_since(due);
            self.window.lag.record(late);
            if late > BEHIND_MAX {
                due = Instant::now();
            }
            loop {
                let wait = due.saturating_duration_since(Instant::now());
                match commands.recv_timeout(wait) {
                    Ok(command) => self.apply(command),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return self.leave(),
                }
            }
            self.play();
            self.task_delays.probe();
            if Instant::now() >= window_due {
                window_due += Duration::from_secs(1);
                self.report_window();
            }
        }
    }

    fn apply(&mut self, command: ShardCommand<G>) {
        match command {
            ShardCommand::Add(bot) => self.bots.push(TrackedBot::new(bot)),
            ShardCommand::RemoveOldest => self.remove_oldest(),
            ShardCommand::StartMeasuring => {
                self.measuring = Measuring::Started;
                let now = Instant::now();
                for tracked in &mut self.bots {
                    tracked.start_measuring(now);
                }
            }
        }
    }

    fn remove_oldest(&mut self) {
        let mut bots = self.bots.iter_mut();
        let Some(tracked) = bots.find(|tracked| tracked.bot.plays() && tracked.is_here()) else {
            return;
        };
        tracked.bot.leave();
        tracked.presence = Presence::Leaving;
        self.departed.record(tracked, Instant::now());
        self.window.leaves += 1;
    }

    fn play(&mut self) {
        let start = Instant::now();
        for tracked in &mut self.bots {
            if tracked.idle_until.is_some_and(|until| start < until) {
                continue;
            }
            let now = Instant::now();
            tracked.bot.receive(now, &mut self.window);
            if tracked.is_here() {
                tracked.bot.send_due(now, &mut self.window);
            }
            tracked.idle_until = tracked.bot.idle_until();
        }
    }

    fn report_window(&mut self) {
        let now = Instant::now();
        self.window.rates.add(&self.departed.rates);
        self.window.kills += self.departed.kills;
        self.record_bots(now);
        self.remove_ended(now);
        let window = &mut self.window;
        let here = self.bots.iter().filter(|tracked| tracked.is_here());
        window.watching = here.clone().filter(|tracked| !tracked.bot.plays()).count();
        window.playing = here.count() - window.watching;
        window.network_lag = self.task_delays.take();
        self.reporter.report(std::mem::take(window));
    }

    fn record_bots(&mut self, now: Instant) {
        let window = &mut self.window;
        for tracked in &mut self.bots {
            let (counters, before) = (tracked.counters(), tracked.at_window_start);
            tracked.at_window_start = counters;
            window.bytes_in += counters.bytes_in - before.bytes_in;
            window.bytes_out += counters.bytes_out - before.bytes_out;
            if let Some(rtt) = tracked.bot.connection().rtt() {
                window.rtt.record(rtt);
            }
            if !tracked.bot.plays() || !tracked.is_here() {
                continue;
            }
            window.kills += u64::from(tracked.bot.tally().kills);
            if !std::mem::take(&mut tracked.is_new) {
                let snapshots = counters.snapshots - before.snapshots;
                window
                    .snapshots_by_bot
                    .push(u32::try_from(snapshots).unwrap_or(u32::MAX));
            }
            if let Some(traffic) = tracked.traffic(now) {
                window.rates.record(&traffic);
            } else if self.measuring == Measuring::Started {
                tracked.start_measuring(now);
            }
        }
    }

    /// The open window already has what they had; in the next ones it is among the departed.
    fn remove_ended(&mut self, now: Instant) {
        let (window, departed) = (&mut self.window, &mut self.departed);
        self.bots.retain(|tracked| {
            let Some(end) = tracked.bot.end() else {
                return true;
            };
            if tracked.is_here() {
                *window.ends.entry(reason(&end)).or_default() += 1;
                departed.record(tracked, now);
            }
            false
        });
    }

    fn leave(mut self) -> Vec<Connection> {
        self.report_window();
        let leave = |tracked: &TrackedBot<G>| {
            if tracked.is_here() {
                tracked.bot.leave();
            }
            tracked.bot.connection().clone()
        };
        self.bots.iter().map(leave).collect()
    }
}

fn reason(end: &CloseReason) -> String {
    if end.code == CloseCode::MatchOver {
        "match over".to_owned()
    } else {
        end.to_string()
    }
}
