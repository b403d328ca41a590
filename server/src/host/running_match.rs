//! Runs one match on its worker: its pace, its end, and what keeps a panic of it from the others.
//!
//! It does not know sockets or who is admitted.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_app::App;
use bevy_ecs::world::World;
use bytes::Bytes;
use gameserver_contract::clock::SharedClock;
use gameserver_contract::ids::{MatchId, PlayerId};
use gameserver_contract::result::{MatchOutcome, MatchResult};
use gameserver_contract::session::SessionState;
use gameserver_shared::flow::{MatchPhase, MatchSettings};
use gameserver_shared::player::Roster;
use gameserver_shared::state::StateRegistry;
use gameserver_shared::stream::broadcast::{Form, View};
use gameserver_transport::close::CloseCode;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::commands::{EndReason, MatchCommand};
use super::hosted_match::MatchLoad;
use super::match_directory::MatchDirectory;
use super::recent_ticks::RecentTicks;
use super::spec::{FinishedMatch, MatchSpec};
use super::spectator_inbox::SpectatorFrame;
use super::stagger::Stagger;
use crate::games::{HostedGame, HostedGames};
use crate::match_log::{self, LogHeader, LogSink};
use crate::simulation::seating::{self, SeatEvent};
use crate::simulation::{self, BroadcastFrame, Broadcasts, EventLog, Outcome, TickPart, TickParts};
use crate::telemetry::{self, TickTimes};

/// Ticks that are made up for when a match fell behind; what is more is left out and counted, so
/// that no match can drag its worker into a spiral.
const CATCH_UP_TICKS_MAX: u32 = 5;
/// How long players of a finished match see its end before their connections are closed.
const END_SHOWN: Duration = Duration::from_secs(3);
/// How long a match that everybody has left is still simulated, so that its rules, spectators and
/// the match log see who left.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// The latest ticks of this time decide whether the match can take more players.
const LOAD_WINDOW: Duration = Duration::from_secs(4);

/// What all matches of a worker share.
#[derive(Debug, Clone)]
pub(super) struct WorkerContext {
    pub(super) directory: Arc<MatchDirectory>,
    pub(super) games: HostedGames,
    pub(super) clock: SharedClock,
    pub(super) results: Sender<FinishedMatch>,
    pub(super) resume_window: Duration,
    /// A match that nobody has been in for so long is ended.
    pub(super) empty_match_lifetime: Duration,
    /// Where matches are recorded.
    pub(super) logs: Option<LogSink>,
    /// Which worker this is.
    pub(super) worker: usize,
}

/// A match and its pace.
pub(super) struct RunningMatch {
    spec: MatchSpec,
    context: WorkerContext,
    spectators: Sender<SpectatorFrame>,
    app: App,
    tick: Duration,
    recent_ticks: RecentTicks,
    tick_times: TickTimes,
    due: Instant,
    ticks: u64,
    /// Since when nobody holds a seat.
    empty: Option<Empty>,
    steps_when_empty: bool,
    is_draining: bool,
    state: SessionState,
    started_at_ms: Option<i64>,
    ending: Option<Ending>,
}

/// A match in which nobody holds a seat.
#[derive(Debug, Clone, Copy)]
struct Empty {
    since: Instant,
    ticks: u32,
    /// It is not simulated until somebody comes.
    is_suspended: bool,
}

/// What is left to do after the last tick that counts.
#[derive(Debug)]
struct Ending {
    ticks_left: u32,
    result: Option<FinishedMatch>,
    reason: EndReason,
}

impl RunningMatch {
    /// Builds the match's App. `None` when the game's own code panicked; the directory shows it.
    pub(super) fn start(
        spec: MatchSpec,
        spectators: Sender<SpectatorFrame>,
        context: &WorkerContext,
        stagger: &mut Stagger,
    ) -> Option<Self> {
        let game = context.games.get(&spec.game)?;
        let tick = Duration::from_secs_f64(1.0 / f64::from(game.descriptor.tick_rate_hz));
        let build = || (game.build)(spec.settings.clone());
        let Ok(mut app) = catch_unwind(AssertUnwindSafe(build)) else {
            report_panic(&spec, context);
            return None;
        };
        if let Some(sink) = &context.logs {
            let header = log_header(app.world(), &spec, game, context.clock.now_ms());
            match_log::begin(&mut app, &header, sink);
        }
        tracing::info!(match.id = %spec.id, game = %spec.game, mode = spec.settings.mode, "match hosted");
        let tick_times = TickTimes::of(&spec.game, TickPart::ALL.into_iter().map(TickPart::name));
        Some(Self {
            spec,
            context: context.clone(),
            spectators,
            app,
            tick,
            recent_ticks: RecentTicks::default(),
            tick_times,
            due: stagger.first_due(tick, Instant::now()),
            ticks: 0,
            empty: None,
            steps_when_empty: game.steps_when_empty,
            is_draining: false,
            state: SessionState::Filling,
            started_at_ms: None,
            ending: None,
        })
    }

    pub(super) fn id(&self) -> MatchId {
        self.spec.id
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// What the match cost in the time that has passed since the last call.
    pub(super) fn take_load(&mut self, elapsed: Duration) -> (MatchId, MatchLoad) {
        let judged = ticks_in(LOAD_WINDOW, self.tick);
        let p99 = self
            .recent_ticks
            .p99(judged.try_into().unwrap_or(usize::MAX));
        let load = MatchLoad {
            busy: self.recent_ticks.take_worked().as_secs_f32() / elapsed.as_secs_f32(),
            tick_p99: p99.as_secs_f32() / self.tick.as_secs_f32(),
        };
        (self.spec.id, load)
    }

    /// Entities of its World, by looking at all of them.
    pub(super) fn entities(&self) -> u64 {
        self.app.world().entities().count_spawned().into()
    }

    pub(super) fn apply(&mut self, command: MatchCommand, stagger: &mut Stagger) {
        self.wake(stagger);
        match command {
            MatchCommand::Enter(entrant) => {
                self.catch_panic(|app| seating::enter(app.world_mut(), *entrant));
            }
            MatchCommand::Kick(player, reason) => self.kick(player, &reason),
            MatchCommand::Show(view) => {
                self.catch_panic(|app| app.world_mut().resource_mut::<Broadcasts>().show(view));
            }
            MatchCommand::Drain(grace) => self.drain(grace),
            MatchCommand::Stop(reason) if self.ending.is_none() => {
                self.end(MatchOutcome::Aborted, reason);
            }
            MatchCommand::Stop(_) => {}
        }
    }

    /// Announces how long players still have. Nobody is admitted to an empty match any more.
    fn drain(&mut self, grace: Duration) {
        let ticks = ticks_in(grace, self.tick);
        self.is_draining = true;
        self.catch_panic(|app| simulation::announce_draining(app.world_mut(), ticks));
    }

    /// A suspended match continues with the next tick of its group.
    fn wake(&mut self, stagger: &mut Stagger) {
        if let Some(empty) = self.empty.as_mut().filter(|empty| empty.is_suspended) {
            *empty = Empty {
                ticks: 0,
                is_suspended: false,
                ..*empty
            };
            self.due = stagger.first_due(self.tick, Instant::now());
        }
    }

    fn kick(&mut self, player: PlayerId, reason: &str) {
        let freed = self
            .catch_panic(|app| seating::kick(app.world_mut(), player, reason))
            .flatten();
        self.apply_seat_events(freed.as_slice());
    }

    /// Runs one tick and what follows from it. Breaks when the match needs its worker no more.
    pub(super) fn step(&mut self) -> ControlFlow<()> {
        let began = Instant::now();
        self.catch_panic(|app| {
            app.world_mut().resource_mut::<TickParts>().begin();
            app.update();
            end_part(app, TickPart::Replicate);
        });
        if self.state == SessionState::Failed {
            return ControlFlow::Break(());
        }
        self.ticks += 1;
        self.publish();
        self.update_seats();
        self.update_state();
        self.record_times(began);
        self.set_next_due();
        self.suspend_when_empty();
        self.advance_ending()
    }

    /// Records what the tick took, the work after it included.
    fn record_times(&mut self, began: Instant) {
        self.catch_panic(|app| end_part(app, TickPart::AfterWork));
        let took = began.elapsed();
        self.recent_ticks.record(took);
        let parts = self.app.world().get_resource::<TickParts>();
        if let Some(parts) = parts.filter(|_| self.state != SessionState::Failed) {
            self.tick_times.record(took, parts.spent());
        }
    }

    /// Sends spectators what they are shown. It is left out while their hub has no room: what
    /// follows the next key frame makes sense again.
    fn publish(&mut self) {
        let frames = self.catch_panic(|app| take_frames(app.world_mut()));
        for frame in frames.unwrap_or_default() {
            if self.spectators.try_send(frame).is_err() {
                telemetry::queue_refused("audience");
            }
        }
    }

    fn set_next_due(&mut self) {
        self.due += self.tick;
        let behind = Instant::now().saturating_duration_since(self.due);
        if behind > self.tick * CATCH_UP_TICKS_MAX {
            let left_out = behind.as_nanos() / self.tick.as_nanos();
            let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
            telemetry::ticks_left_out(left_out.into());
            // Whole ticks, so that it stays with its group.
            self.due += self.tick * left_out;
        }
    }

    fn update_seats(&mut self) {
        let away_ticks_max = ticks_in(self.context.resume_window, self.tick);
        let events = self
            .catch_panic(|app| seating::update(app.world_mut(), away_ticks_max))
            .unwrap_or_default();
        self.apply_seat_events(&events);
        self.end_when_deserted();
    }

    fn apply_seat_events(&self, events: &[SeatEvent]) {
        let id = self.spec.id;
        for event in events {
            match *event {
                SeatEvent::Away(seat) => {
                    tracing::debug!(match.id = %id, %seat, "seat held for its player");
                }
                SeatEvent::Freed(seat, connection) => {
                    self.context.directory.release_seat(id, seat, connection);
                }
            }
        }
    }

    fn end_when_deserted(&mut self) {
        let deserted = self
            .catch_panic(|app| app.world().resource::<Roster>().seats.is_empty())
            .unwrap_or_default();
        if !deserted {
            self.empty = None;
            return;
        }
        let empty = self.empty.get_or_insert_with(|| Empty {
            since: Instant::now(),
            ticks: 0,
            is_suspended: false,
        });
        empty.ticks += 1;
        let lasted = empty.since.elapsed() >= self.context.empty_match_lifetime;
        if (lasted || self.is_draining) && self.ending.is_none() {
            self.end(MatchOutcome::Aborted, EndReason::MatchOver);
        }
    }

    /// An empty match that nobody watches is not simulated: its next tick is the one that ends it,
    /// unless somebody comes before.
    fn suspend_when_empty(&mut self) {
        let settles = ticks_in(SETTLE_TIME, self.tick);
        let Some(empty) = self.empty.as_mut().filter(|empty| empty.ticks > settles) else {
            return;
        };
        if self.steps_when_empty || self.ending.is_some() {
            return;
        }
        if self.context.directory.spectators(self.spec.id) == 0 {
            empty.is_suspended = true;
            self.due = empty.since + self.context.empty_match_lifetime;
            // What it cost before is not what it costs now.
            self.recent_ticks = RecentTicks::default();
        }
    }

    fn update_state(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let phase = self.catch_panic(|app| simulation::phase(app.world()));
        let state = match phase {
            Some(MatchPhase::Waiting) => SessionState::Filling,
            Some(MatchPhase::Starting) => SessionState::Starting,
            Some(MatchPhase::Running) => SessionState::Running,
            Some(MatchPhase::Over) => {
                return self.end(MatchOutcome::Finished, EndReason::MatchOver);
            }
            None => return,
        };
        if state == SessionState::Running && self.started_at_ms.is_none() {
            self.started_at_ms = Some(self.context.clock.now_ms());
        }
        self.enter_state(state);
    }

    fn enter_state(&mut self, state: SessionState) {
        if state != self.state {
            self.state = state;
            self.context.directory.set_state(self.spec.id, state);
        }
    }

    fn end(&mut self, outcome: MatchOutcome, reason: EndReason) {
        let ended_at_ms = self.context.clock.now_ms();
        let players = self
            .catch_panic(|app| Outcome::players(app.world()))
            .unwrap_or_default();
        let result = MatchResult {
            match_id: self.spec.id,
            session: self.spec.session,
            game: self.spec.game.clone(),
            mode: self.spec.settings.mode.clone(),
            outcome,
            ticks: self.ticks,
            started_at_ms: self.started_at_ms.unwrap_or(ended_at_ms),
            ended_at_ms,
            players,
        };
        let key = self.spec.result_key;
        self.catch_panic(|app| match_log::finish(app.world_mut(), &result, &key));
        let ticks_left = match outcome {
            MatchOutcome::Finished => ticks_in(END_SHOWN, self.tick),
            MatchOutcome::Aborted => 0,
        };
        tracing::info!(match.id = %self.spec.id, outcome = outcome.as_str(), ticks = self.ticks, "match over");
        let result = FinishedMatch {
            result,
            result_key: self.spec.result_key,
        };
        self.ending = Some(Ending {
            ticks_left,
            result: Some(result),
            reason,
        });
        self.enter_state(SessionState::Ending);
    }

    /// Hands the result over as soon as there is room, and closes the connections in time.
    fn advance_ending(&mut self) -> ControlFlow<()> {
        let Some(ending) = &mut self.ending else {
            return ControlFlow::Continue(());
        };
        if let Some(result) = ending.result.take() {
            ending.result = match self.context.results.try_send(result) {
                Ok(()) => None,
                Err(TrySendError::Full(result) | TrySendError::Closed(result)) => {
                    telemetry::queue_refused("results");
                    Some(result)
                }
            };
        }
        ending.ticks_left = ending.ticks_left.saturating_sub(1);
        if ending.ticks_left > 0 || ending.result.is_some() {
            return ControlFlow::Continue(());
        }
        let (code, text) = ending.reason.close();
        self.catch_panic(|app| seating::close_all(app.world_mut(), code, text));
        ControlFlow::Break(())
    }

    /// Runs the game's code. A panic ends this match and no other; the App is not used again.
    fn catch_panic<T>(&mut self, run: impl FnOnce(&mut App) -> T) -> Option<T> {
        if self.state == SessionState::Failed {
            return None;
        }
        if let Ok(value) = catch_unwind(AssertUnwindSafe(|| run(&mut self.app))) {
            return Some(value);
        }
        self.state = SessionState::Failed;
        report_panic(&self.spec, &self.context);
        let close = || {
            seating::close_all(
                self.app.world_mut(),
                CloseCode::Internal,
                "the match has failed",
            );
        };
        if catch_unwind(AssertUnwindSafe(close)).is_err() {
            tracing::error!(match.id = %self.spec.id, "connections of a failed match not closed");
        }
        None
    }
}

impl Drop for RunningMatch {
    /// Dropping a World runs the game's code once more.
    fn drop(&mut self) {
        let app = std::mem::replace(&mut self.app, App::empty());
        if catch_unwind(AssertUnwindSafe(|| drop(app))).is_err() {
            tracing::error!(match.id = %self.spec.id, "a match panicked while it was dropped");
        }
    }
}

fn end_part(app: &mut App, part: TickPart) {
    app.world_mut().resource_mut::<TickParts>().end(part);
}

/// What the last tick has for spectators; the match log gets it, too.
fn take_frames(world: &mut World) -> Vec<SpectatorFrame> {
    let published = std::mem::take(&mut world.resource_mut::<Broadcasts>().recent);
    let events = std::mem::take(&mut world.resource_mut::<EventLog>().recent);
    let recorded = published.iter().filter(|frame| frame.view == View::All);
    let recorded = recorded.map(|frame| (frame.tick, frame.form, &frame.frame));
    match_log::record_frames(world, recorded, &events);
    let is_key = |published: &BroadcastFrame| published.form == Form::KeyFrame;
    let standing: Option<Arc<[Bytes]>> = published
        .iter()
        .any(is_key)
        .then(|| simulation::standing(world).into());
    let frames = published
        .into_iter()
        .map(|published| SpectatorFrame::Snapshot {
            standing: standing.clone().filter(|_| is_key(&published)),
            view: published.view,
            form: published.form,
            tick: published.tick,
            frame: published.frame,
        });
    frames
        .chain(events.into_iter().map(SpectatorFrame::Event))
        .collect()
}

fn log_header(world: &World, spec: &MatchSpec, game: &HostedGame, now_ms: i64) -> LogHeader {
    let registry = world.resource::<StateRegistry>();
    // The same for every match of the game, so that it also distinguishes schemas.
    let start_frame = game.start.frame(0);
    let MatchSettings {
        mode,
        players_min,
        players_max,
        tick_rate_hz,
        seed,
    } = spec.settings.clone();
    LogHeader {
        match_id: spec.id,
        session: spec.session,
        game: spec.game.clone(),
        mode,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        fingerprint: game.fingerprint,
        rules_hash: registry.rules_hash(),
        seed,
        players_min,
        players_max,
        tick_rate_hz,
        snapshot_interval_ticks: game.descriptor.snapshot_interval_ticks(),
        schema_hash: xxhash_rust::xxh3::xxh3_64(&start_frame),
        start_frame: start_frame.to_vec(),
        started_at_ms: now_ms,
        components: registry.hashed_names().map(str::to_owned).collect(),
    }
}

fn report_panic(spec: &MatchSpec, context: &WorkerContext) {
    telemetry::match_panicked();
    tracing::error!(match.id = %spec.id, game = %spec.game, "match ended by a panic");
    context.directory.set_state(spec.id, SessionState::Failed);
}

fn ticks_in(time: Duration, tick: Duration) -> u32 {
    u32::try_from(time.as_nanos() / tick.as_nanos()).unwrap_or(u32::MAX)
}
