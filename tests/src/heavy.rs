//! A game whose players really cost time: for specs about what an instance does when it has none
//! left.

use std::time::{Duration, Instant};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_shared::player::Roster;
use gameserver_shared::prelude::*;

use crate::fragile::{Spot, Step, descriptor, seat_players};

/// The game's name.
pub const HEAVY: &str = "heavy";
/// Its only mode.
pub const MODE: &str = "heavy";
/// Ticks a second, the fewest that there may be: what the machine does besides weighs little in
/// long ticks.
pub const TICK_RATE_HZ: u16 = 20;
/// What each seat costs in each tick: a little less than a third of it, in time and not in work,
/// so that it is the same on every machine.
const COST: Duration = Duration::from_millis(16);

/// The game.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heavy;

impl Game for Heavy {
    type Input = Step;
    type Motion = Spot;

    fn descriptor() -> GameDescriptor {
        GameDescriptor {
            tick_rate_hz: TICK_RATE_HZ,
            snapshot_rate_hz: TICK_RATE_HZ,
            ..descriptor(HEAVY, &[MODE])
        }
    }

    fn state(state: &mut StateBuilder) {
        state.component::<Spot>();
    }

    fn add_simulation(_: &mut App) {}

    fn add_rules(app: &mut App) {
        let rules = (seat_players, spend_time).in_set(TickSystems::ApplyRules);
        app.add_systems(FixedUpdate, rules);
    }
}

impl BotGame for Heavy {
    type Memory = ();

    fn decide((): &mut (), _: &BotView, _: &mut MatchRng) -> Step {
        Step::default()
    }
}

fn spend_time(roster: Res<Roster>) {
    let began = Instant::now();
    let seats = u32::try_from(roster.seats.len()).expect("a few seats");
    while began.elapsed() < COST * seats {
        std::hint::spin_loop();
    }
}
