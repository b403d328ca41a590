//! The weapon's clockwork: when it may shoot. What a shot hits is decided in `combat`.

use bevy_ecs::prelude::*;
use gameserver_shared::prelude::*;

use crate::components::{Body, Weapon};
use crate::config::{ArenaConfig, WeaponConfig};
use crate::input::ArenaInput;

/// Advances every simulated weapon by one tick.
pub fn operate_weapons(
    config: Res<ArenaConfig>,
    tick: CurrentTick,
    mut weapons: Query<(&mut Weapon, &Body, &PlayerAction<ArenaInput>), With<Simulated>>,
) {
    for (mut weapon, body, action) in &mut weapons {
        if body.alive {
            let operated = step(&config.weapon, *weapon, action.0, tick.number());
            weapon.set_if_neq(operated);
        }
    }
}

/// One tick of one weapon.
#[must_use]
pub fn step(config: &WeaponConfig, weapon: Weapon, input: ArenaInput, tick: u32) -> Weapon {
    if tick < weapon.ready_at_tick {
        return weapon;
    }
    if weapon.reloading {
        return Weapon {
            ammunition: config.magazine,
            reloading: false,
            ..weapon
        };
    }
    let wants_reload = input.holds(ArenaInput::RELOAD) && weapon.ammunition < config.magazine;
    if weapon.ammunition == 0 || wants_reload {
        let ready_at_tick = tick + config.reload_ticks;
        return Weapon {
            reloading: true,
            ready_at_tick,
            ..weapon
        };
    }
    if input.holds(ArenaInput::FIRE) {
        let ready_at_tick = tick + config.fire_interval_ticks;
        let ammunition = weapon.ammunition - 1;
        return Weapon {
            ammunition,
            ready_at_tick,
            fired_at_tick: tick,
            shots: weapon.shots.wrapping_add(1),
            ..weapon
        };
    }
    weapon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_fire_shoots_exactly_at_the_interval_and_reloads_when_empty() {
        let config = ArenaConfig::builtin().weapon;
        let fire = ArenaInput {
            buttons: ArenaInput::FIRE,
            ..Default::default()
        };
        let mut weapon = Weapon {
            ammunition: 2,
            ready_at_tick: 0,
            fired_at_tick: 0,
            shots: 0,
            reloading: false,
        };
        let mut shots = Vec::new();
        for tick in 1..200 {
            let next = step(&config, weapon, fire, tick);
            if next.fired_at_tick != weapon.fired_at_tick {
                shots.push(tick);
            }
            weapon = next;
        }
        let second = 1 + config.fire_interval_ticks;
        // Empty: the reload starts when the weapon is ready again, and takes one tick to end.
        let after_reload = second + config.fire_interval_ticks + config.reload_ticks + 1;
        assert_eq!(shots[..3], [1, second, after_reload]);
    }
}
