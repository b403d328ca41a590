//! What an avatar consists of: each component with everything that the engine has to know of it.

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::prelude::*;
use serde::{Deserialize, Serialize};

use crate::config::WeaponConfig;
use crate::movement::AIM_STEPS;

/// Where a fighter is and moves: what the own player predicts.
#[derive(Component, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// Centre, metres.
    pub position: Vec2,
    /// Metres a second.
    pub velocity: Vec2,
    /// Direction of aim, as in the input.
    pub aim: u16,
    /// Counts deaths and returns, so that a jump by the rules is told from a wrong prediction.
    pub life: u16,
    /// False between death and coming back: nothing moves and nothing shoots then.
    pub alive: bool,
}

/// Farthest place of a map, metres.
pub const POSITION_MAX_M: f64 = 1_023.0;
/// Places are shown to 1/64 m.
const POSITION_STEP_M: f64 = 1.0 / 64.0;

impl MatchState for Body {
    fn declare(body: Declaration<Self>) -> Declaration<Self> {
        let place = |name| Field::line(name, 0.0, POSITION_MAX_M, POSITION_STEP_M);
        body.predicted()
            .interpolated(Self::between)
            .field(place("x"), |body| body.position.x)
            .field(place("y"), |body| body.position.y)
            .field(Field::circle("aim", 1.0, 1_024), |body| {
                f32::from(body.aim) / AIM_STEPS
            })
            .field(Field::circle("life", 65_536.0, 65_536), |body| body.life)
    }
}

impl Body {
    /// Between two states of an opponent; a jump by the rules is not smoothed over.
    fn between(from: Self, to: Self, t: f32) -> Self {
        if from.life != to.life {
            return if t < 1.0 { from } else { to };
        }
        Self {
            position: from.position.lerp(to.position, t),
            velocity: from.velocity.lerp(to.velocity, t),
            aim: interpolate_aim(from.aim, to.aim, t),
            ..to
        }
    }
}

/// The short way round.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a share of an i16 is an i16"
)]
fn interpolate_aim(from: u16, to: u16, t: f32) -> u16 {
    let turn = to.wrapping_sub(from).cast_signed();
    let part = (f32::from(turn) * t) as i16;
    from.wrapping_add_signed(part)
}

impl PredictedState for Body {
    fn moved_by_server(confirmed: &Self, predicted: &Self) -> bool {
        confirmed.life != predicted.life
    }
}

/// The weapon's state: predicted too, so that the own shots show at once.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weapon {
    /// Shots left in the magazine.
    pub ammunition: u16,
    /// The next shot or the end of a reload, as a tick.
    pub ready_at_tick: u32,
    /// The tick of the last shot; 0 for none yet.
    pub fired_at_tick: u32,
    /// Counts shots, and begins again after 255.
    pub shots: u8,
    /// True while a reload is under way.
    pub reloading: bool,
}

impl Weapon {
    /// One that is loaded and has not been used.
    #[must_use]
    pub fn full(config: &WeaponConfig) -> Self {
        Self {
            ammunition: config.magazine,
            ready_at_tick: 0,
            fired_at_tick: 0,
            shots: 0,
            reloading: false,
        }
    }
}

impl MatchState for Weapon {
    fn declare(weapon: Declaration<Self>) -> Declaration<Self> {
        let own = |name, maximum| Field::integer(name, maximum).shown_to(Audience::Owner);
        weapon
            .predicted()
            .field(Field::circle("shots", 256.0, 256), |weapon| weapon.shots)
            .field(own("ammunition", 255), |weapon| weapon.ammunition)
            .field(own("reloading", 1), |weapon| u8::from(weapon.reloading))
    }
}

/// What only the rules change and everybody may see.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fighter {
    /// 0 is dead.
    pub health: u16,
    /// Opponents defeated: the score that a match is won by.
    pub kills: u16,
    /// Times defeated.
    pub deaths: u16,
    /// The tick of the next return after death, and of the end of protection after a return.
    pub changes_at_tick: u32,
}

impl MatchState for Fighter {
    fn declare(fighter: Declaration<Self>) -> Declaration<Self> {
        fighter
            .replicated()
            .field(Field::integer("health", 1_000), |fighter| fighter.health)
            .field(Field::integer("kills", 65_535), |fighter| fighter.kills)
            .field(Field::integer("deaths", 65_535), |fighter| fighter.deaths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ArenaConfig;

    #[test]
    fn an_aim_turns_the_short_way_round() {
        assert_eq!(interpolate_aim(65_000, 464, 0.5), 65_500);
        assert_eq!(interpolate_aim(100, 300, 0.5), 200);
    }

    #[test]
    fn a_map_fits_the_range_of_the_places() {
        let config = ArenaConfig::builtin();
        assert!(f64::from(config.map.width_m.max(config.map.height_m)) <= POSITION_MAX_M);
    }
}
