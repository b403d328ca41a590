//! The work that game servers are compared by: one room in which everybody moves in every tick and
//! is sent, in every tick, where the 32 or so in view are. No rules, no end.
//!
//! The rate is part of the game, because a match has one tick rate: `reference-60`, `reference-20`.

pub mod bot;

use std::f32::consts::PI;

use bevy_app::prelude::*;
use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use bevy_reflect::Reflect;
use gameserver_contract::ids::GameId;
use gameserver_shared::prelude::*;
use serde::{Deserialize, Serialize};

/// How far a walker sees, metres.
const SIGHT_M: f32 = 20.0;
/// Walkers in view, the own one counted, in the mean.
const IN_VIEW: f32 = 32.0;
/// Metres a second.
const SPEED_M_PER_S: f32 = 6.0;
/// Farthest place that can be shown, metres.
const POSITION_MAX_M: f64 = 1_023.0;
/// Places are shown to 1/64 m.
const POSITION_STEP_M: f64 = 1.0 / 64.0;
/// Walkers in one match at most; their room is still smaller than what can be shown.
const PLAYERS_MAX: u16 = 8_000;

/// The game at this many ticks and snapshots a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference<const HZ: u16>;

/// Where a walker goes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Reflect, MapEntities,
)]
pub struct Step {
    /// To the right, −100 to 100 percent.
    pub x: i8,
    /// Upwards, −100 to 100 percent.
    pub y: i8,
}

impl PlayerInput for Step {
    fn declare(&self, fields: &mut impl InputFields) {
        fields.stick("walk", [self.x, self.y], 100);
    }
}

/// Where a walker is, metres.
#[derive(Component, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position(pub Vec2);

impl PredictedState for Position {
    fn moved_by_server(_: &Self, _: &Self) -> bool {
        false
    }
}

impl MatchState for Position {
    fn declare(position: Declaration<Self>) -> Declaration<Self> {
        let line = |name| Field::line(name, 0.0, POSITION_MAX_M, POSITION_STEP_M);
        position
            .predicted()
            .field(line("x"), |position| position.0.x)
            .field(line("y"), |position| position.0.y)
    }
}

/// Side of the square room, metres: so large that in a full one everybody sees 32.
#[derive(Resource, Debug, Clone, Copy)]
pub struct Room(pub f32);

impl Room {
    fn for_players(players: u16) -> Self {
        let each = PI * SIGHT_M * SIGHT_M / IN_VIEW;
        Self((f32::from(players) * each).sqrt().max(SIGHT_M))
    }
}

impl<const HZ: u16> Game for Reference<HZ> {
    type Input = Step;
    type Motion = Position;

    fn descriptor() -> GameDescriptor {
        let name = format!("reference-{HZ}");
        GameDescriptor {
            id: GameId::new(&name).expect("a game's name"),
            name,
            tick_rate_hz: HZ,
            snapshot_rate_hz: HZ,
            netcode: NetcodeModel::StateReplication,
            modes: vec![GameMode {
                id: "walk".to_owned(),
                players_min: 1,
                players_default: 1_000,
                players_max: PLAYERS_MAX,
            }],
        }
    }

    fn state(state: &mut StateBuilder) {
        state.avatar("walker").with::<Position>();
    }

    fn add_simulation(app: &mut App) {
        app.add_systems(FixedUpdate, walk::<HZ>.in_set(TickSystems::Simulate));
    }

    fn add_rules(app: &mut App) {
        let players = app.world().resource::<MatchSettings>().players_max;
        app.insert_resource(Room::for_players(players))
            .add_systems(FixedUpdate, seat_players.in_set(TickSystems::ApplyRules));
    }

    fn add_visibility(app: &mut App) {
        limit_visibility::<Position, Room>(app, SIGHT_M, |position| position.0, |_, _| true);
    }
}

/// A client does not know how large the room is: the server keeps its walls.
fn walk<const HZ: u16>(
    room: Option<Res<Room>>,
    mut walkers: Query<(&mut Position, &PlayerAction<Step>), With<Simulated>>,
) {
    let far = room.map_or(f32::MAX, |room| room.0);
    for (mut position, step) in &mut walkers {
        let way = Vec2::new(step.0.x.into(), step.0.y.into()) / 100.0;
        let metres = way.clamp_length_max(1.0) * (SPEED_M_PER_S / f32::from(HZ));
        let there = (position.0 + metres).clamp(Vec2::ZERO, Vec2::splat(far));
        position.set_if_neq(Position(there));
    }
}

fn seat_players(
    mut commands: Commands,
    room: Res<Room>,
    mut rng: ResMut<MatchRng>,
    mut players: NewPlayers,
) {
    for new in players.read() {
        let position = Position(Vec2::new(rng.unit(), rng.unit()) * room.0);
        commands.spawn((Avatar { seat: new.seat }, position));
    }
}

#[cfg(test)]
mod tests {
    use gameserver_shared::offline::{self, offline_match};

    use super::*;

    #[test]
    fn a_full_room_has_as_many_in_view_as_it_says() {
        for players in [100, 1_000, PLAYERS_MAX] {
            let room = Room::for_players(players);
            let density = f32::from(players) / (room.0 * room.0);
            let in_view = density * PI * SIGHT_M * SIGHT_M;
            assert!((in_view - IN_VIEW).abs() < 0.1, "{in_view}");
            assert!(f64::from(room.0) < POSITION_MAX_M);
        }
    }

    #[test]
    fn both_rates_can_be_hosted() {
        assert_eq!(Reference::<60>::descriptor().check(), Ok(()));
        assert_eq!(Reference::<20>::descriptor().id.as_str(), "reference-20");
    }

    #[test]
    fn no_order_of_systems_is_left_to_chance() {
        let mut app = offline_match::<Reference<60>>(MatchSettings {
            mode: "walk".to_owned(),
            players_min: 1,
            players_max: 100,
            tick_rate_hz: 60,
            seed: 7,
        });
        assert_eq!(offline::ambiguities(&mut app), [""; 0]);
    }

    #[test]
    fn a_step_beyond_its_range_is_refused() {
        assert!(Step { x: 100, y: -100 }.check().is_ok());
        assert!(Step { x: 101, y: 0 }.check().is_err());
    }
}
