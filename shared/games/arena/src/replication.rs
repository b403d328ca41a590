//! Which components go to clients and how clients treat them: the one file of the game that
//! names lightyear.

use bevy_app::prelude::*;
use lightyear::prelude::*;

use crate::components::{Body, Fighter, Weapon};

/// Registers arena's components. The order is part of the wire format.
pub fn register(app: &mut App) {
    app.component::<Body>().replicate().predict();
    app.interpolate_with::<Body>(InterpolationFns::interpolate(interpolate_body));
    app.component::<Weapon>().replicate().predict();
    app.component::<Fighter>().replicate();
}

/// Between two states of an opponent; a jump by the rules is not smoothed over.
fn interpolate_body(from: Body, to: Body, t: f32) -> Body {
    if from.life != to.life {
        return if t < 1.0 { from } else { to };
    }
    Body {
        position: from.position.lerp(to.position, t),
        velocity: from.velocity.lerp(to.velocity, t),
        aim: interpolate_aim(from.aim, to.aim, t),
        ..to
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_turns_the_short_way_round() {
        assert_eq!(interpolate_aim(65_000, 464, 0.5), 65_500);
        assert_eq!(interpolate_aim(100, 300, 0.5), 200);
    }
}
