//! One match as a headless Bevy App: how it is built for any game, and what its host may ask of
//! it between two ticks.
//!
//! It knows connections only as links that packets come from. It does not know tickets, threads or
//! the control plane.
//!
//! Reading order: `seats`, [`seating`], `client_link`, `native`, `guard`, `inputs`, `thin`.

mod allowance;
mod avatars;
mod broadcasts;
mod client_link;
mod events;
mod fog;
pub(crate) mod frame_io;
mod guard;
mod inputs;
mod native;
mod outcome;
mod parts;
pub mod seating;
mod seats;
mod thin;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_state::app::StatesPlugin;
use bevy_time::TimeUpdateStrategy;
use gameserver_shared::determinism::MatchRng;
use gameserver_shared::flow::{FlowPlugin, MatchPhase, MatchSettings, MatchStatus};
use gameserver_shared::game::Game;
use gameserver_shared::net_id::{NetId, NetIdPlugin};
use gameserver_shared::player::{PlayerJoined, PlayerLeft, Roster};
use gameserver_shared::protocol::{ProtocolPlugin, tick_duration};
use gameserver_shared::snapshot::SnapshotPlugin;
use gameserver_shared::state::StatePlugin;
use lightyear::prelude::server::ServerPlugins;
use lightyear::prelude::{NetworkTarget, Replicate, ReplicationMetadata};

pub use broadcasts::{BroadcastFrame, Broadcasts};
pub use events::{EventLog, announce_draining, standing};
pub use guard::{Guard, GuardRules, Violation};
pub use outcome::Outcome;
pub use parts::{TickPart, TickParts};
pub use seating::Entrant;
pub use seats::ConnectionId;
pub use thin::StartFrame;

use crate::match_log::RecordPlugin;
use crate::telemetry;

/// Builds the App of one match, ready for its first tick.
pub fn build_match<G: Game>(settings: MatchSettings) -> App {
    let descriptor = G::descriptor();
    // To the nanosecond, so that lightyear sends in the ticks in which a snapshot is due and never
    // shows a tick to those who were last looked at in an earlier one.
    let snapshot_interval = tick_duration::<G>() * u32::from(descriptor.snapshot_interval_ticks());
    let mut app = App::new();
    // Before every plugin: observers keep the handler that was set when they were added.
    app.set_error_handler(telemetry::count_system_error);
    app.add_plugins((TaskPoolPlugin::default(), StatesPlugin));
    app.add_plugins(ServerPlugins {
        tick_duration: tick_duration::<G>(),
    });
    // One tick an update: real time is the host's business.
    app.insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    app.insert_resource(ReplicationMetadata::new(snapshot_interval));
    app.insert_resource(MatchRng::seeded(settings.seed));
    app.insert_resource(settings);
    app.init_resource::<Roster>();
    app.add_message::<PlayerJoined>()
        .add_message::<PlayerLeft>();
    app.add_plugins((
        ProtocolPlugin::<G>::default(),
        FlowPlugin::<G>::default(),
        NetIdPlugin,
        StatePlugin::<G>::default(),
        RecordPlugin::<G>::default(),
        native::NativePlugin,
        inputs::InputGuardPlugin::<G>::default(),
        avatars::AvatarPlugin::<G>::default(),
        outcome::OutcomePlugin,
        SnapshotPlugin::<G>::default(),
        thin::ThinPlugin::<G>::default(),
        events::EventPlugin,
        broadcasts::BroadcastPlugin,
        fog::FogPlugin,
        parts::TickPartsPlugin,
    ));
    app.insert_resource(events::GameStanding(G::standing));
    G::add_rules(&mut app);
    app.finish();
    app.cleanup();
    let rules = GuardRules::of::<G>(app.world());
    app.insert_resource(rules);
    native::open(app.world_mut());
    app.init_resource::<seats::Seats>();
    spawn_status(app.world_mut());
    app
}

/// Spawns the status that everybody receives.
fn spawn_status(world: &mut World) {
    let status = world.spawn((
        NetId::MATCH,
        MatchStatus {
            phase: MatchPhase::Waiting,
            since_tick: 0,
        },
        Replicate::to_clients(NetworkTarget::All),
    ));
    let status = StatusEntity(status.id());
    world.insert_resource(status);
}

/// Where the match's status is.
#[derive(Resource, Debug, Clone, Copy)]
struct StatusEntity(Entity);

/// The match's present phase.
#[must_use]
pub fn phase(world: &World) -> MatchPhase {
    let status = world.get::<MatchStatus>(world.resource::<StatusEntity>().0);
    status.map_or(MatchPhase::Over, |status| status.phase)
}
