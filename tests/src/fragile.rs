//! A game that breaks on purpose, in the way that its mode says: for specs about what one match
//! may do to the others.

use bevy_app::prelude::*;
use bevy_ecs::entity::MapEntities;
use bevy_ecs::error::BevyError;
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use gameserver_contract::ids::GameId;
use gameserver_shared::player::Roster;
use gameserver_shared::prelude::*;
use serde::{Deserialize, Serialize};

/// The game's name.
pub const FRAGILE: &str = "fragile";
/// A mode in which nothing breaks.
pub const SOUND: &str = "sound";
/// A mode whose rules panic in the tick in which the last seat is taken.
pub const PANICS: &str = "panics";
/// A mode that cannot even be built.
pub const PANICS_WHEN_BUILT: &str = "panics-when-built";
/// A mode with a system that fails in every tick.
pub const FAILS: &str = "fails";

/// The game.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fragile;

/// A player walks by this much in a tick.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Reflect, MapEntities,
)]
pub struct Step(pub i8);

impl PlayerInput for Step {}

/// Where a player is.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spot(pub i32);

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

impl Game for Fragile {
    type Input = Step;
    type Motion = Spot;

    fn descriptor() -> GameDescriptor {
        descriptor(FRAGILE, &[SOUND, PANICS, PANICS_WHEN_BUILT, FAILS])
    }

    fn state(state: &mut StateBuilder) {
        state.component::<Spot>();
    }

    fn add_simulation(app: &mut App) {
        app.add_systems(FixedUpdate, walk.in_set(TickSystems::Simulate));
    }

    fn add_rules(app: &mut App) {
        let mode = app.world().resource::<MatchSettings>().mode.clone();
        assert!(mode != PANICS_WHEN_BUILT, "broken on purpose");
        app.add_systems(FixedUpdate, seat_players.in_set(TickSystems::ApplyRules));
        if mode == PANICS {
            app.add_systems(FixedUpdate, panic_when_full.in_set(TickSystems::ApplyRules));
        }
        if mode == FAILS {
            app.add_systems(FixedUpdate, fail.in_set(TickSystems::ApplyRules));
        }
    }
}

/// A game of that name for up to 16 players, with these modes.
pub(crate) fn descriptor(id: &str, modes: &[&str]) -> GameDescriptor {
    let mode = |id: &&str| GameMode {
        id: (*id).to_owned(),
        players_min: 1,
        players_default: 16,
        players_max: 16,
    };
    GameDescriptor {
        id: GameId::new(id).expect("a game's name"),
        name: id.to_owned(),
        tick_rate_hz: 60,
        snapshot_rate_hz: 20,
        netcode: NetcodeModel::StateReplication,
        modes: modes.iter().map(mode).collect(),
    }
}

impl BotGame for Fragile {
    type Memory = ();

    fn decide((): &mut (), _: &BotView, rng: &mut MatchRng) -> Step {
        Step(if rng.below(2) == 0 { 1 } else { -1 })
    }
}

fn walk(mut spots: Query<(&mut Spot, &PlayerAction<Step>), With<Simulated>>) {
    for (mut spot, step) in &mut spots {
        spot.0 += i32::from(step.0.0);
    }
}

pub(crate) fn seat_players(mut commands: Commands, mut players: NewPlayers) {
    for new in players.read() {
        commands.spawn((Avatar { seat: new.seat }, Spot::default()));
    }
}

fn panic_when_full(roster: Res<Roster>, settings: Res<MatchSettings>) {
    let full = roster.seats.len() == usize::from(settings.players_max);
    assert!(!full, "broken on purpose");
}

fn fail() -> Result<(), BevyError> {
    Err(BevyError::from("broken on purpose"))
}
