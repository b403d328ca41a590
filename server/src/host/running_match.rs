//! One match on its worker: its pace, its end, and the fence that keeps its panics to itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_app::App;
use bevy_ecs::world::World;
use bytes::Bytes;
use gameserver_contract::ids::{MatchId, PlayerId};
use gameserver_contract::result::{MatchOutcome, MatchResult};
use gameserver_contract::session::SessionState;
use gameserver_shared::flow::MatchPhase;
use gameserver_shared::player::Roster;
use gameserver_shared::stream::broadcast::Form;
use gameserver_transport::close::CloseCode;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::audience::Shown;
use super::board::Work;
use super::recent_ticks::RecentTicks;
use super::stagger::Stagger;
use super::worker::{Context, Told};
use super::{FinishedMatch, MatchSpec};
use crate::match_log;
use crate::simulation::{
    self, Broadcasts, EventLog, Outcome, Published, SeatEvent, Seats, TickPart, TickParts,
};
use crate::telemetry::{self, TickTimes};

/// Ticks that are made up for when a match fell behind; what is more is left out and counted, so
/// that no match can drag its worker into a spiral.
const CATCH_UP_TICKS_MAX: u32 = 5;
/// How long players of a finished match are shown its end before their connections are closed.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long a match that everybody has left is simulated on: its rules see who left, watchers and
/// the match log too.
const SETTLES: Duration = Duration::from_secs(1);

/// Ticks of this long decide whether the match can take more players.
const JUDGED: Duration = Duration::from_secs(4);

/// Whether a match still needs its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    GoesOn,
    IsDone,
}

/// A match and its pace.
pub(super) struct RunningMatch {
    spec: MatchSpec,
    context: Context,
    audience: Sender<Shown>,
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
    rests: bool,
}

/// What is left to do after the last tick that counts.
#[derive(Debug)]
struct Ending {
    ticks_left: u32,
    result: Option<FinishedMatch>,
    goodbye: Goodbye,
}

/// What players are told at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goodbye {
    /// The match has ended, for whatever reason.
    MatchOver,
    /// The instance goes away under a match that is not over.
    Draining,
}

impl Goodbye {
    pub(super) fn words(self) -> (CloseCode, &'static str) {
        match self {
            Self::MatchOver => (CloseCode::MatchOver, "the match is over"),
            Self::Draining => (CloseCode::Draining, "the instance is shutting down"),
        }
    }
}

impl RunningMatch {
    /// Builds the match's App. `None` when the game's own code panicked; the board says so.
    pub(super) fn start(
        spec: MatchSpec,
        audience: Sender<Shown>,
        context: &Context,
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
            match_log::begin(&mut app, &spec, game, sink, context.clock.now_ms());
        }
        tracing::info!(match.id = %spec.id, game = %spec.game, mode = spec.settings.mode, "match hosted");
        let tick_times = TickTimes::of(&spec.game);
        Some(Self {
            spec,
            context: context.clone(),
            audience,
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

    /// Tells the board what the match cost in the time that has passed since the last call.
    pub(super) fn tell_work(&mut self, elapsed: Duration) {
        let judged = ticks_in(JUDGED, self.tick);
        let p99 = self
            .recent_ticks
            .p99(judged.try_into().unwrap_or(usize::MAX));
        let work = Work {
            share: self.recent_ticks.take_worked().as_secs_f32() / elapsed.as_secs_f32(),
            tick_p99: p99.as_secs_f32() / self.tick.as_secs_f32(),
            silent: 0,
        };
        self.context.board.set_work(self.spec.id, work);
    }

    /// Entities of its World, by looking at all of them.
    pub(super) fn entities(&self) -> u64 {
        self.app.world().entities().count_spawned().into()
    }

    pub(super) fn obey(&mut self, told: Told, stagger: &mut Stagger) {
        self.wake(stagger);
        match told {
            Told::Enter(entrant) => {
                self.fenced(|app| Seats::enter(app.world_mut(), *entrant));
            }
            Told::Kick(player, reason) => self.kick(player, &reason),
            Told::Show(view) => {
                self.fenced(|app| app.world_mut().resource_mut::<Broadcasts>().show(view));
            }
            Told::Drain(grace) => self.drain(grace),
            Told::Stop(goodbye) if self.ending.is_none() => {
                self.end(MatchOutcome::Aborted, goodbye);
            }
            Told::Stop(_) => {}
        }
    }

    /// Tells players how long they still have. Nobody can come into an empty match any more.
    fn drain(&mut self, grace: Duration) {
        let ticks = ticks_in(grace, self.tick);
        self.is_draining = true;
        self.fenced(|app| simulation::tell_of_draining(app.world_mut(), ticks));
    }

    /// A match that rests goes on with the next tick of its group.
    fn wake(&mut self, stagger: &mut Stagger) {
        if let Some(empty) = self.empty.as_mut().filter(|empty| empty.rests) {
            *empty = Empty {
                ticks: 0,
                rests: false,
                ..*empty
            };
            self.due = stagger.first_due(self.tick, Instant::now());
        }
    }

    fn kick(&mut self, player: PlayerId, reason: &str) {
        let freed = self
            .fenced(|app| Seats::remove(app.world_mut(), player, CloseCode::Kicked, reason))
            .flatten();
        if let Some(seat) = freed {
            self.context.board.free_seat(self.spec.id, seat);
        }
    }

    /// Runs one tick and what follows from it.
    pub(super) fn step(&mut self) -> Step {
        let began = Instant::now();
        self.fenced(|app| {
            app.world_mut().resource_mut::<TickParts>().begin();
            app.update();
            end_part(app, TickPart::Replicate);
        });
        if self.state == SessionState::Failed {
            return Step::IsDone;
        }
        self.ticks += 1;
        self.publish();
        self.look_after_seats();
        self.follow_phase();
        self.note_times(began);
        self.set_next_due();
        self.rest_when_empty();
        self.go_on_ending()
    }

    /// Tells what the tick took, the work after it included.
    fn note_times(&mut self, began: Instant) {
        self.fenced(|app| end_part(app, TickPart::AfterWork));
        let took = began.elapsed();
        self.recent_ticks.note(took);
        let parts = self.app.world().get_resource::<TickParts>();
        if let Some(parts) = parts.filter(|_| self.state != SessionState::Failed) {
            self.tick_times.record(took, parts);
        }
    }

    /// Hands what watchers are shown to their audience. It is left out while the audience has no
    /// room: what comes after the next key frame makes sense again.
    fn publish(&mut self) {
        let shown = self.fenced(|app| shown_now(app.world_mut()));
        for shown in shown.unwrap_or_default() {
            if self.audience.try_send(shown).is_err() {
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

    fn look_after_seats(&mut self) {
        let away_ticks_max = ticks_in(self.context.resume_window, self.tick);
        let events = self
            .fenced(|app| Seats::look_after(app.world_mut(), away_ticks_max))
            .unwrap_or_default();
        for event in events {
            match event {
                SeatEvent::Away(seat) => {
                    tracing::debug!(match.id = %self.spec.id, %seat, "seat held for its player");
                }
                SeatEvent::Freed(seat) => self.context.board.free_seat(self.spec.id, seat),
            }
        }
        self.end_when_deserted();
    }

    fn end_when_deserted(&mut self) {
        let deserted = self
            .fenced(|app| app.world().resource::<Roster>().seats.is_empty())
            .unwrap_or_default();
        if !deserted {
            self.empty = None;
            return;
        }
        let empty = self.empty.get_or_insert_with(|| Empty {
            since: Instant::now(),
            ticks: 0,
            rests: false,
        });
        empty.ticks += 1;
        let lasted = empty.since.elapsed() >= self.context.empty_match_lifetime;
        if (lasted || self.is_draining) && self.ending.is_none() {
            self.end(MatchOutcome::Aborted, Goodbye::MatchOver);
        }
    }

    /// An empty match that nobody watches is not simulated: its next tick is the one that ends it,
    /// unless somebody comes before.
    fn rest_when_empty(&mut self) {
        let settles = ticks_in(SETTLES, self.tick);
        let Some(empty) = self.empty.as_mut().filter(|empty| empty.ticks > settles) else {
            return;
        };
        if self.steps_when_empty || self.ending.is_some() {
            return;
        }
        if self.context.board.spectators(self.spec.id) == 0 {
            empty.rests = true;
            self.due = empty.since + self.context.empty_match_lifetime;
            // What it cost says nothing of what it costs now.
            self.recent_ticks = RecentTicks::default();
        }
    }

    fn follow_phase(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let phase = self.fenced(|app| simulation::phase(app.world()));
        let state = match phase {
            Some(MatchPhase::Waiting) => SessionState::Filling,
            Some(MatchPhase::Starting) => SessionState::Starting,
            Some(MatchPhase::Running) => SessionState::Running,
            Some(MatchPhase::Over) => {
                return self.end(MatchOutcome::Finished, Goodbye::MatchOver);
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
            self.context.board.set_state(self.spec.id, state);
        }
    }

    fn end(&mut self, outcome: MatchOutcome, goodbye: Goodbye) {
        let ended_at_ms = self.context.clock.now_ms();
        let players = self
            .fenced(|app| Outcome::players(app.world()))
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
        self.fenced(|app| match_log::finish(app.world_mut(), &result, &key));
        let farewell = match outcome {
            MatchOutcome::Finished => ticks_in(FAREWELL, self.tick),
            MatchOutcome::Aborted => 0,
        };
        tracing::info!(match.id = %self.spec.id, outcome = outcome.as_str(), ticks = self.ticks, "match over");
        let result = FinishedMatch {
            result,
            result_key: self.spec.result_key,
        };
        self.ending = Some(Ending {
            ticks_left: farewell,
            result: Some(result),
            goodbye,
        });
        self.enter_state(SessionState::Ending);
    }

    /// Hands the result over as soon as there is room, says goodbye when the time has come.
    fn go_on_ending(&mut self) -> Step {
        let Some(ending) = &mut self.ending else {
            return Step::GoesOn;
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
            return Step::GoesOn;
        }
        let (code, text) = ending.goodbye.words();
        self.fenced(|app| Seats::close_all(app.world_mut(), code, text));
        Step::IsDone
    }

    /// Runs the game's code. A panic ends this match and no other; the App is not used again.
    fn fenced<T>(&mut self, run: impl FnOnce(&mut App) -> T) -> Option<T> {
        if self.state == SessionState::Failed {
            return None;
        }
        if let Ok(value) = catch_unwind(AssertUnwindSafe(|| run(&mut self.app))) {
            return Some(value);
        }
        self.state = SessionState::Failed;
        report_panic(&self.spec, &self.context);
        let close = || {
            Seats::close_all(
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

/// What the last tick has for watchers.
fn shown_now(world: &mut World) -> Vec<Shown> {
    let published = std::mem::take(&mut world.resource_mut::<Broadcasts>().recent);
    let events = std::mem::take(&mut world.resource_mut::<EventLog>().recent);
    match_log::record_shown(world, &published, &events);
    let is_key = |published: &Published| published.form == Form::KeyFrame;
    let standing: Option<Arc<[Bytes]>> = published
        .iter()
        .any(is_key)
        .then(|| simulation::standing(world).into());
    let frames = published.into_iter().map(|published| Shown::Frame {
        standing: standing.clone().filter(|_| is_key(&published)),
        view: published.view,
        form: published.form,
        tick: published.tick,
        frame: published.frame,
    });
    frames.chain(events.into_iter().map(Shown::Event)).collect()
}

fn report_panic(spec: &MatchSpec, context: &Context) {
    telemetry::match_panicked();
    tracing::error!(match.id = %spec.id, game = %spec.game, "match ended by a panic");
    context.board.set_state(spec.id, SessionState::Failed);
}

fn ticks_in(time: Duration, tick: Duration) -> u32 {
    u32::try_from(time.as_nanos() / tick.as_nanos()).unwrap_or(u32::MAX)
}
