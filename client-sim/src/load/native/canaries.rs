//! Canaries: full clients among the bots. They predict their own player, and what they receive is
//! compared with what the others of their match receive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_client::connection::{ConnectionState, GameConnection};
use gameserver_shared::bot::BotPolicy;
use gameserver_shared::protocol::tick_duration;
use gameserver_transport::connect::ConnectError;
use lightyear::prelude::{ReplicationSystems, RollbackSystems};
use tokio::runtime::Handle;

use super::state_comparison::{SeenStates, StateComparer, compare_states};
use crate::bot::{Bot, BotEnd, BotSpec, BotStats};
use crate::client_counts::ClientCounts;
use crate::load::reporter::Reporter;
use crate::load::stats_window::StatsWindow;

/// Canaries that wait to play. When full, the next one counts as refused.
const JOINS_MAX: usize = 64;
/// A thread that is so late has lost the time: it goes on from now.
const BEHIND_MAX: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// The thread that all canaries play on.
#[derive(Debug)]
pub(crate) struct Canaries {
    enter: SyncSender<CanaryJoin>,
    thread: JoinHandle<()>,
}

/// A canary that has a seat.
#[derive(Debug)]
struct CanaryJoin {
    bot: BotSpec,
    /// Which of the matches.
    session: usize,
}

/// All canaries of a run.
struct CanaryThread<G: BotPolicy> {
    canaries: Vec<Canary<G>>,
    /// What was received in each match.
    matches: BTreeMap<usize, Arc<SeenStates<G::Motion>>>,
    window: StatsWindow,
    reporter: Reporter,
    runtime: Handle,
}

struct Canary<G: BotPolicy> {
    bot: Bot<G>,
    /// Its numbers when the window began.
    at_window_start: BotStats,
    counts_at_window_start: ClientCounts,
    end_reported: bool,
}

impl Canaries {
    /// Starts the thread; it reports a window every second.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread.
    pub(crate) fn start<G: BotPolicy>(
        reporter: Reporter,
        runtime: Handle,
    ) -> std::io::Result<Self> {
        let (enter, joins) = sync_channel(JOINS_MAX);
        let thread = std::thread::Builder::new()
            .name("canaries".to_owned())
            .spawn(move || CanaryThread::<G>::new(reporter, runtime).run(&joins))?;
        Ok(Self { enter, thread })
    }

    /// Lets a canary play in that match. It never waits, because the run's own task calls it.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(crate) fn enter(&self, bot: BotSpec, session: usize) -> Result<(), &'static str> {
        let entered = self.enter.try_send(CanaryJoin { bot, session });
        entered.map_err(|error| match error {
            TrySendError::Full(_) => "too many canaries come at once",
            TrySendError::Disconnected(_) => "the canaries' thread has ended",
        })
    }

    /// Lets all of them leave.
    pub(crate) fn finish(self) {
        drop(self.enter);
        if self.thread.join().is_err() {
            tracing::error!("the canaries' thread panicked");
        }
    }
}

impl<G: BotPolicy> CanaryThread<G> {
    fn new(reporter: Reporter, runtime: Handle) -> Self {
        Self {
            canaries: Vec::new(),
            matches: BTreeMap::new(),
            window: StatsWindow::default(),
            reporter,
            runtime,
        }
    }

    fn run(mut self, joins: &Receiver<CanaryJoin>) {
        let tick = tick_duration::<G>();
        let mut due = Instant::now();
        let mut window_due = due + SECOND;
        loop {
            due += tick;
            let late = Instant::now().saturating_duration_since(due);
            self.window.lag.record(late);
            if late > BEHIND_MAX {
                due = Instant::now();
            }
            loop {
                let wait = due.saturating_duration_since(Instant::now());
                match joins.recv_timeout(wait) {
                    Ok(join) => self.add(join),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return self.leave(),
                }
            }
            for canary in &mut self.canaries {
                canary.bot.frame();
            }
            if Instant::now() >= window_due {
                window_due += SECOND;
                self.report_window();
            }
        }
    }

    fn add(&mut self, join: CanaryJoin) {
        let seen = self.matches.entry(join.session).or_default();
        let (seen, runtime) = (Arc::clone(seen), self.runtime.clone());
        let canary = Canary::start(join.bot, seen, runtime);
        self.canaries.push(canary);
    }

    fn report_window(&mut self) {
        for canary in &mut self.canaries {
            canary.record(&mut self.window);
        }
        self.reporter.report(std::mem::take(&mut self.window));
    }

    fn leave(mut self) {
        for canary in &mut self.canaries {
            canary.bot.leave();
        }
        self.report_window();
    }
}

impl<G: BotPolicy> Canary<G> {
    fn start(spec: BotSpec, seen: Arc<SeenStates<G::Motion>>, runtime: Handle) -> Self {
        let mut bot = Bot::<G>::start(spec, runtime);
        bot.app_mut()
            .insert_resource(StateComparer::new(seen))
            .add_systems(
                PreUpdate,
                compare_states::<G::Motion>
                    .after(ReplicationSystems::Receive)
                    .before(RollbackSystems::Check),
            );
        Self {
            bot,
            at_window_start: BotStats::default(),
            counts_at_window_start: ClientCounts::default(),
            end_reported: false,
        }
    }

    /// Records what happened since the last window.
    fn record(&mut self, window: &mut StatsWindow) {
        let now = self.bot.update_stats().clone();
        let counts = self.counts(&now);
        window.clients += counts - self.counts_at_window_start;
        window.snapshots += now.snapshots.saturating_sub(self.at_window_start.snapshots);
        window.bytes_in += now.bytes_in - self.at_window_start.bytes_in;
        window.bytes_out += now.bytes_out - self.at_window_start.bytes_out;
        window.kills += u64::from(now.tally.kills);
        match &now.end {
            None => {
                window.playing += usize::from(now.seconds > 0.0);
                if let Some(rtt) = now.rtt {
                    window.rtt.record(rtt);
                }
            }
            Some(end) if !self.end_reported => {
                self.end_reported = true;
                let why = reason(end, counts.connected > 0);
                if let Some(why) = why {
                    *window.ends.entry(why).or_default() += 1;
                }
            }
            Some(_) => {}
        }
        (self.at_window_start, self.counts_at_window_start) = (now, counts);
    }

    fn counts(&mut self, now: &BotStats) -> ClientCounts {
        let world = self.bot.app_mut().world();
        let comparer = world.resource::<StateComparer<G::Motion>>();
        let state = world.resource::<GameConnection>().state();
        ClientCounts {
            refused_saying_when: says_when(state).into(),
            compared_states: comparer.compared,
            wrong_states: comparer.wrong,
            ..now.into()
        }
    }
}

/// Whether it was refused and knows when to try again.
fn says_when(state: &ConnectionState) -> bool {
    matches!(
        state,
        ConnectionState::Refused(ConnectError::Refused(refused)) if refused.retry_after_ms.is_some()
    )
}

/// How it ended, in the words of the other bots; none for the end of the run.
fn reason(end: &BotEnd, was_connected: bool) -> Option<String> {
    match end {
        BotEnd::MatchOver => Some("match over".to_owned()),
        BotEnd::TimeUp => None,
        BotEnd::Disconnected(why) if was_connected => Some(why.clone()),
        BotEnd::Disconnected(why) => Some(format!("not let in: {why}")),
    }
}
