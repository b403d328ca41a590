//! Canaries: whole clients among the crowd. They predict their own player, and what they are shown
//! is compared with what the others of their match are.

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

use super::figures::CanaryCounts;
use super::sightings::{Sightings, Witness, compare_sightings};
use crate::bot::{Bot, BotEnd, BotSnapshot, BotSpec};
use crate::load::books::Page;
use crate::load::swarm::Desk;

/// Canaries on their way in. When full, the next one is not let in, and counts as refused.
const NEWCOMERS_MAX: usize = 64;
/// A thread that is so late has lost the time: it goes on from now.
const BEHIND_MAX: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// The thread that all canaries play on.
#[derive(Debug)]
pub(crate) struct Canaries {
    enter: SyncSender<Newcomer>,
    thread: JoinHandle<()>,
}

/// A canary that has a seat.
#[derive(Debug)]
struct Newcomer {
    bot: BotSpec,
    /// Which of the matches.
    session: usize,
}

/// Everybody who plays on the thread.
struct Flock<G: BotPolicy> {
    canaries: Vec<Canary<G>>,
    /// What was seen in each match.
    matches: BTreeMap<usize, Arc<Sightings<G::Motion>>>,
    page: Page,
    desk: Desk,
    runtime: Handle,
}

struct Canary<G: BotPolicy> {
    bot: Bot<G>,
    /// Its numbers when the page was opened.
    at_opening: BotSnapshot,
    counts_at_opening: CanaryCounts,
    end_told: bool,
}

impl Canaries {
    /// Starts the thread; it hands a page in every second.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread.
    pub(crate) fn start<G: BotPolicy>(desk: Desk, runtime: Handle) -> std::io::Result<Self> {
        let (enter, newcomers) = sync_channel(NEWCOMERS_MAX);
        let thread = std::thread::Builder::new()
            .name("canaries".to_owned())
            .spawn(move || Flock::<G>::new(desk, runtime).run(&newcomers))?;
        Ok(Self { enter, thread })
    }

    /// Lets a canary play in that match. It never waits, because the run's own task calls it.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(crate) fn enter(&self, bot: BotSpec, session: usize) -> Result<(), &'static str> {
        let entered = self.enter.try_send(Newcomer { bot, session });
        entered.map_err(|error| match error {
            TrySendError::Full(_) => "too many canaries come at once",
            TrySendError::Disconnected(_) => "the canaries' thread has ended",
        })
    }

    /// Says goodbye for all of them.
    pub(crate) fn finish(self) {
        drop(self.enter);
        if self.thread.join().is_err() {
            tracing::error!("the canaries' thread panicked");
        }
    }
}

impl<G: BotPolicy> Flock<G> {
    fn new(desk: Desk, runtime: Handle) -> Self {
        Self {
            canaries: Vec::new(),
            matches: BTreeMap::new(),
            page: Page::default(),
            desk,
            runtime,
        }
    }

    fn run(mut self, newcomers: &Receiver<Newcomer>) {
        let tick = tick_duration::<G>();
        let mut due = Instant::now();
        let mut page_due = due + SECOND;
        loop {
            due += tick;
            let late = Instant::now().saturating_duration_since(due);
            self.page.lag.note(late);
            if late > BEHIND_MAX {
                due = Instant::now();
            }
            loop {
                let wait = due.saturating_duration_since(Instant::now());
                match newcomers.recv_timeout(wait) {
                    Ok(newcomer) => self.take(newcomer),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return self.leave(),
                }
            }
            for canary in &mut self.canaries {
                canary.bot.frame();
            }
            if Instant::now() >= page_due {
                page_due += SECOND;
                self.turn_page();
            }
        }
    }

    fn take(&mut self, newcomer: Newcomer) {
        let sightings = self.matches.entry(newcomer.session).or_default();
        let (sightings, runtime) = (Arc::clone(sightings), self.runtime.clone());
        let canary = Canary::start(newcomer.bot, sightings, runtime);
        self.canaries.push(canary);
    }

    fn turn_page(&mut self) {
        for canary in &mut self.canaries {
            canary.write(&mut self.page);
        }
        self.desk.hand_in(std::mem::take(&mut self.page));
    }

    fn leave(mut self) {
        for canary in &mut self.canaries {
            canary.bot.leave();
        }
        self.turn_page();
    }
}

impl<G: BotPolicy> Canary<G> {
    fn start(spec: BotSpec, sightings: Arc<Sightings<G::Motion>>, runtime: Handle) -> Self {
        let mut bot = Bot::<G>::start(spec, runtime);
        bot.app_mut()
            .insert_resource(Witness::new(sightings))
            .add_systems(
                PreUpdate,
                compare_sightings::<G::Motion>
                    .after(ReplicationSystems::Receive)
                    .before(RollbackSystems::Check),
            );
        Self {
            bot,
            at_opening: BotSnapshot::default(),
            counts_at_opening: CanaryCounts::default(),
            end_told: false,
        }
    }

    /// Writes what happened since the last page.
    fn write(&mut self, page: &mut Page) {
        let now = self.bot.look().clone();
        let counts = self.counts(&now);
        page.canaries += counts - self.counts_at_opening;
        page.snapshots += now.snapshots.saturating_sub(self.at_opening.snapshots);
        page.bytes_in += now.bytes_in - self.at_opening.bytes_in;
        page.bytes_out += now.bytes_out - self.at_opening.bytes_out;
        page.kills += u64::from(now.tally.kills);
        match &now.end {
            None => {
                page.playing += usize::from(now.seconds > 0.0);
                if let Some(rtt) = now.rtt {
                    page.rtt.note(rtt);
                }
            }
            Some(end) if !self.end_told => {
                self.end_told = true;
                let why = why(end, counts.connected > 0);
                if let Some(why) = why {
                    *page.ends.entry(why).or_default() += 1;
                }
            }
            Some(_) => {}
        }
        (self.at_opening, self.counts_at_opening) = (now, counts);
    }

    fn counts(&mut self, now: &BotSnapshot) -> CanaryCounts {
        let world = self.bot.app_mut().world();
        let witness = world.resource::<Witness<G::Motion>>();
        let state = world.resource::<GameConnection>().state();
        let connected = now.transport.is_some();
        CanaryCounts {
            connected: connected.into(),
            refused: (!connected && now.end.is_some()).into(),
            refused_saying_when: says_when(state).into(),
            seconds: now.seconds,
            predicted_ticks: now.prediction.predicted_ticks,
            mispredicted_ticks: now.prediction.mispredicted_ticks,
            rollbacks: now.rollbacks.into(),
            rollback_ticks: now.rollback_ticks.into(),
            compared_states: witness.compared,
            wrong_states: witness.wrong,
        }
    }
}

/// Whether it was refused and told when to try again.
fn says_when(state: &ConnectionState) -> bool {
    matches!(
        state,
        ConnectionState::Refused(ConnectError::Refused(refused)) if refused.retry_after_ms.is_some()
    )
}

/// How it ended, as the others of the crowd tell it; none for the end of the run.
fn why(end: &BotEnd, was_in: bool) -> Option<String> {
    match end {
        BotEnd::MatchOver => Some("match over".to_owned()),
        BotEnd::TimeUp => None,
        BotEnd::Disconnected(why) if was_in => Some(why.clone()),
        BotEnd::Disconnected(why) => Some(format!("not let in: {why}")),
    }
}
