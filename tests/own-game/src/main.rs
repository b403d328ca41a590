//! A program with a game of its own: players step to and fro on a line.
//!
//! Nothing outside of this file names the game.

use std::process::ExitCode;

use bevy_app::prelude::*;
use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use gameserver::Games;
use gameserver_contract::ids::GameId;
use gameserver_shared::prelude::*;
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    gameserver::run(Games::new().add::<Line>())
}

/// The game.
struct Line;

/// A player steps by this much in a tick.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Reflect, MapEntities,
)]
struct Step(i8);

impl PlayerInput for Step {
    fn declare(&self, fields: &mut impl InputFields) {
        fields.range("step", self.0.into(), -1..=1);
    }
}

/// Where a player is.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Spot(i32);

impl MatchState for Spot {
    fn declare(spot: Declaration<Self>) -> Declaration<Self> {
        spot.predicted()
    }
}

impl PredictedState for Spot {
    fn moved_by_server(_: &Self, _: &Self) -> bool {
        false
    }
}

impl Game for Line {
    type Input = Step;
    type Motion = Spot;

    fn descriptor() -> GameDescriptor {
        GameDescriptor {
            id: GameId::new("line").expect("a game's name"),
            name: "Line".to_owned(),
            tick_rate_hz: 20,
            snapshot_rate_hz: 20,
            netcode: NetcodeModel::StateReplication,
            modes: vec![GameMode {
                id: "walk".to_owned(),
                players_min: 1,
                players_default: 4,
                players_max: 16,
            }],
        }
    }

    fn state(state: &mut StateBuilder) {
        state.component::<Spot>();
    }

    fn add_simulation(app: &mut App) {
        app.add_systems(FixedUpdate, walk.in_set(TickSystems::Simulate));
    }

    fn add_rules(app: &mut App) {
        app.add_systems(FixedUpdate, seat_players.in_set(TickSystems::ApplyRules));
    }
}

fn walk(mut spots: Query<(&mut Spot, &PlayerAction<Step>), With<Simulated>>) {
    for (mut spot, step) in &mut spots {
        spot.0 += i32::from(step.0.0);
    }
}

fn seat_players(mut commands: Commands, mut players: NewPlayers) {
    for new in players.read() {
        commands.spawn((Avatar { seat: new.seat }, Spot::default()));
    }
}
