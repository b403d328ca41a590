//! One bot: a whole game client without a window, whose player is the game's own policy.

use std::time::{Duration, Instant};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_client::connection::{ConnectionState, GameConnection};
use gameserver_client::headless::headless_client;
use gameserver_client::probe::PredictionTally;
use gameserver_contract::session::{JoinResponse, TransportKind};
use gameserver_shared::bot::{BotPolicy, BotTally};
use gameserver_shared::determinism::MatchRng;
use gameserver_shared::input::PlayerAction;
use gameserver_shared::player::InputLateness;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connect::ConnectOptions;
use lightyear::prelude::client::input::InputSystems;
use lightyear::prelude::input::native::InputMarker;
use lightyear::prelude::{PredictionMetrics, ServerMutateTicks};
use tokio::runtime::Handle;

/// What a bot is made from; it can be sent to the thread that runs it.
#[derive(Debug, Clone)]
pub struct BotSpec {
    /// Name in the report.
    pub name: String,
    /// The right to a seat.
    pub join: JoinResponse,
    /// How to connect.
    pub options: ConnectOptions,
    /// Seed of the bot's own randomness.
    pub seed: u64,
    /// How often it comes back when it was not let in and coming back may help.
    pub retries_max: u32,
}

/// A bot's numbers so far.
#[derive(Debug, Clone, Default)]
pub struct BotStats {
    /// Its name.
    pub name: String,
    /// The transport that it uses now.
    pub transport: Option<TransportKind>,
    /// Round trip of the transport.
    pub rtt: Option<Duration>,
    /// Seconds with an avatar.
    pub seconds: f64,
    /// Ticks simulated in these seconds, repeated ones not counted.
    pub ticks: u64,
    /// Snapshots received in these seconds.
    pub snapshots: u64,
    /// Ticks that the server had to simulate without this bot's input.
    pub inputs_late: u32,
    /// Rollbacks.
    pub rollbacks: u32,
    /// Ticks repeated by rollbacks.
    pub rollback_ticks: u32,
    /// How good its predictions were.
    pub prediction: PredictionTally,
    /// How often its connection was replaced: its path broke, or QUIC came back.
    pub reconnects: u32,
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Payload bytes sent.
    pub bytes_out: u64,
    /// What it achieved.
    pub tally: BotTally,
    /// How it ended, when it has.
    pub end: Option<BotEnd>,
}

/// How a bot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BotEnd {
    /// The match is over.
    MatchOver,
    /// The time is up; the bot said goodbye.
    TimeUp,
    /// The connection ended otherwise, or never began.
    Disconnected(String),
}

/// A running bot. It stays on the thread that made it.
pub(crate) struct Bot<G: BotPolicy> {
    app: App,
    join: JoinResponse,
    retries_left: u32,
    /// When it tries again to be let in.
    again_at: Option<Instant>,
    stats: BotStats,
    /// Of the connections before the present one.
    traffic_before: Traffic,
    playing_since: Option<Instant>,
    ended_at: Option<Instant>,
    game: std::marker::PhantomData<G>,
}

/// Payload bytes of one connection and of those before it.
#[derive(Debug, Clone, Copy, Default)]
struct Traffic {
    connection: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// Counts what an App cannot be asked for later.
#[derive(Resource, Debug, Default)]
struct FrameCounts {
    ticks: u64,
    snapshots: u64,
    last_snapshot: Option<u32>,
}

#[derive(Resource)]
struct BotRng(MatchRng);

impl<G: BotPolicy> Bot<G> {
    pub(crate) fn start(spec: BotSpec, runtime: Handle) -> Self {
        let mut app = headless_client::<G>(runtime);
        app.insert_resource(BotRng(MatchRng::seeded(spec.seed)));
        app.init_resource::<FrameCounts>();
        app.add_systems(
            FixedPreUpdate,
            write_input::<G>.in_set(InputSystems::WriteClientInputs),
        );
        app.add_systems(Last, (count_snapshots, count_ticks));
        let mut connection = app.world_mut().resource_mut::<GameConnection>();
        connection.options = spec.options;
        connection.join(&spec.join);
        let stats = BotStats {
            name: spec.name,
            ..BotStats::default()
        };
        Self {
            app,
            join: spec.join,
            retries_left: spec.retries_max,
            again_at: None,
            stats,
            traffic_before: Traffic::default(),
            playing_since: None,
            ended_at: None,
            game: std::marker::PhantomData,
        }
    }

    /// The client itself, for those who look into it.
    pub(crate) fn app_mut(&mut self) -> &mut App {
        &mut self.app
    }

    /// Runs one frame. False when the bot has ended.
    pub(crate) fn frame(&mut self) -> bool {
        if self.stats.end.is_some() {
            return false;
        }
        self.app.update();
        if self.comes_back() {
            return true;
        }
        if self.playing_since.is_none() && own_avatar::<G>(self.app.world_mut()).is_some() {
            self.playing_since = Some(Instant::now());
            *self.app.world_mut().resource_mut::<FrameCounts>() = FrameCounts::default();
        }
        if let Some(end) = self.end() {
            self.end_as(end);
        }
        self.stats.end.is_none()
    }

    /// True while it waits to try again, or begins to.
    fn comes_back(&mut self) -> bool {
        let mut connection = self.app.world_mut().resource_mut::<GameConnection>();
        let ConnectionState::Refused(error) = connection.state() else {
            return false;
        };
        let Some(after) = error.retry_after() else {
            return false;
        };
        match self.again_at {
            Some(at) if Instant::now() < at => {}
            Some(_) => {
                self.again_at = None;
                connection.join(&self.join);
            }
            None if self.retries_left == 0 => return false,
            None => {
                self.retries_left -= 1;
                self.again_at = Some(Instant::now() + after);
            }
        }
        true
    }

    fn end_as(&mut self, end: BotEnd) {
        self.stats.end = Some(end);
        self.ended_at = Some(Instant::now());
    }

    fn end(&self) -> Option<BotEnd> {
        match self.app.world().resource::<GameConnection>().state() {
            ConnectionState::Idle
            | ConnectionState::Connecting
            | ConnectionState::Open { .. }
            | ConnectionState::Resuming(_) => None,
            ConnectionState::Refused(error) => Some(BotEnd::Disconnected(error.to_string())),
            ConnectionState::Closed(reason) if reason.code == CloseCode::MatchOver => {
                Some(BotEnd::MatchOver)
            }
            ConnectionState::Closed(reason) => Some(BotEnd::Disconnected(reason.to_string())),
        }
    }

    /// Leaves the match.
    pub(crate) fn leave(&mut self) {
        self.update_stats();
        if self.stats.end.is_none() {
            self.app
                .world_mut()
                .resource_mut::<GameConnection>()
                .leave();
            self.end_as(BotEnd::TimeUp);
        }
    }

    /// The numbers of now. The last ones of the match stay when it is over.
    pub(crate) fn update_stats(&mut self) -> &BotStats {
        let world = self.app.world_mut();
        let stats = &mut self.stats;
        let network = world.resource::<GameConnection>();
        stats.reconnects = network.moves();
        if let ConnectionState::Open {
            connection,
            welcome,
        } = network.state()
        {
            let before = &mut self.traffic_before;
            if before.connection != welcome.connection {
                *before = Traffic {
                    connection: welcome.connection,
                    bytes_in: stats.bytes_in,
                    bytes_out: stats.bytes_out,
                };
            }
            stats.transport = Some(connection.kind());
            stats.rtt = connection.rtt();
            stats.bytes_in = before.bytes_in + connection.stats().bytes_in;
            stats.bytes_out = before.bytes_out + connection.stats().bytes_out;
        }
        let metrics = world.resource::<PredictionMetrics>();
        (stats.rollbacks, stats.rollback_ticks) = (metrics.rollbacks, metrics.rollback_ticks);
        stats.prediction = *world.resource::<PredictionTally>();
        let counts = world.resource::<FrameCounts>();
        (stats.ticks, stats.snapshots) = (counts.ticks, counts.snapshots);
        if let Some(since) = self.playing_since {
            let until = self.ended_at.unwrap_or_else(Instant::now);
            stats.seconds = until.duration_since(since).as_secs_f64();
        }
        if let Some(own) = own_avatar::<G>(world) {
            stats.inputs_late = world.get::<InputLateness>(own).map_or(0, |late| late.ticks);
            stats.tally = G::tally(world, own);
        }
        stats
    }
}

fn own_avatar<G: BotPolicy>(world: &mut World) -> Option<Entity> {
    let mut own = world.query_filtered::<Entity, With<InputMarker<G::Input>>>();
    own.iter(world).next()
}

fn write_input<G: BotPolicy>(world: &mut World) {
    let Some(own) = own_avatar::<G>(world) else {
        return;
    };
    let input =
        world.resource_scope(|world, mut rng: Mut<BotRng>| G::decide(world, own, &mut rng.0));
    if let Some(mut action) = world.get_mut::<PlayerAction<G::Input>>(own) {
        action.0 = input;
    }
}

fn count_snapshots(ticks: Res<ServerMutateTicks>, mut counts: ResMut<FrameCounts>) {
    let newest = ticks.last_tick().get();
    if counts.last_snapshot != Some(newest) {
        counts.last_snapshot = Some(newest);
        counts.snapshots += 1;
    }
}

/// The timeline jumps when the clocks are first brought together, so steps are counted and not
/// the difference.
fn count_ticks(
    timeline: Res<lightyear::prelude::LocalTimeline>,
    mut last: Local<Option<u32>>,
    mut counts: ResMut<FrameCounts>,
) {
    let now = timeline.tick().0;
    let step = last.map_or(0, |last| now.saturating_sub(last));
    *last = Some(now);
    if step <= 10 {
        counts.ticks += u64::from(step);
    }
}
