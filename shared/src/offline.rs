//! A match in one App without any network: for a game's own tests and benchmarks.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{LogLevel, ScheduleBuildSettings};
use lightyear::prelude::LocalTimeline;

use crate::determinism::MatchRng;
use crate::event::MatchEvent;
use crate::flow::{FlowPlugin, MatchPhase, MatchSettings, MatchStatus};
use crate::game::Game;
use crate::input::PlayerAction;
use crate::net_id::{NetId, NetIdPlugin};
use crate::player::{Avatar, PlayerJoined, PlayerLeft, Roster, Simulated};
use crate::snapshot::SnapshotPlugin;
use crate::state::StatePlugin;
use crate::tick::TickPlugin;

/// Builds a match that nobody is in yet; [`seat_player`](crate::player::seat_player) seats
/// somebody, who presses nothing until their avatar's [`PlayerAction`] is written.
pub fn offline_match<G: Game>(settings: MatchSettings) -> App {
    let mut app = App::new();
    app.init_resource::<LocalTimeline>()
        .init_resource::<Roster>()
        .insert_resource(MatchRng::seeded(settings.seed))
        .insert_resource(settings)
        .add_message::<PlayerJoined>()
        .add_message::<PlayerLeft>()
        .add_message::<MatchEvent>()
        .add_plugins((
            TickPlugin,
            FlowPlugin::<G>::default(),
            NetIdPlugin,
            StatePlugin::<G>::default(),
        ))
        .add_observer(simulate::<G>);
    let status = MatchStatus {
        phase: MatchPhase::Waiting,
        since_tick: 0,
    };
    app.world_mut().spawn((NetId::MATCH, status));
    G::add_simulation(&mut app);
    app.add_plugins(SnapshotPlugin::<G>::default());
    G::add_rules(&mut app);
    app
}

/// Simulates one tick, without its snapshot.
pub fn tick(app: &mut App) {
    let world = app.world_mut();
    world.resource_mut::<LocalTimeline>().apply_delta(1);
    world.run_schedule(First);
    world.run_schedule(FixedUpdate);
}

/// Pairs of systems of a tick whose order is not given although it may matter, as Bevy reports
/// them. Ask an App that has not run yet.
pub fn ambiguities(app: &mut App) -> Vec<String> {
    let find = |world: &mut World, schedule: &mut Schedule| {
        schedule.set_build_settings(ScheduleBuildSettings {
            ambiguity_detection: LogLevel::Error,
            ..ScheduleBuildSettings::default()
        });
        let built = schedule.initialize(world);
        built
            .err()
            .map(|error| error.to_string(schedule.graph(), world))
    };
    let world = app.world_mut();
    let found = [
        world.schedule_scope(FixedUpdate, find),
        world.schedule_scope(FixedPostUpdate, find),
    ];
    found.into_iter().flatten().collect()
}

fn simulate<G: Game>(added: On<Add, Avatar>, mut commands: Commands) {
    let simulated = (Simulated, PlayerAction(G::Input::default()));
    commands.entity(added.entity).insert(simulated);
}
