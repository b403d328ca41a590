//! Movement: one function, run by the server for everybody and by each client for its own player.

use std::f32::consts::TAU;

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::prelude::*;

use crate::components::Body;
use crate::config::ArenaConfig;
use crate::input::ArenaInput;
use crate::map;

/// Steps of an aim around the circle.
pub const AIM_STEPS: f32 = 65_536.0;

/// Moves every simulated body by one tick.
pub fn move_bodies(
    config: Res<ArenaConfig>,
    mut bodies: Query<(&mut Body, &PlayerAction<ArenaInput>), With<Simulated>>,
) {
    for (mut body, action) in &mut bodies {
        let moved = step(&config, *body, action.0);
        body.set_if_neq(moved);
    }
}

/// One tick of one body. Pure: the same arguments give the same bits on server and client.
#[must_use]
pub fn step(config: &ArenaConfig, body: Body, input: ArenaInput) -> Body {
    if !body.alive {
        return Body {
            velocity: Vec2::ZERO,
            ..body
        };
    }
    let tick_s = 1.0 / f32::from(config.game.tick_rate_hz);
    let wanted = input.stick() * config.movement.speed_max_m_per_s;
    let change_max = config.movement.acceleration_m_per_s2 * tick_s;
    let velocity = body.velocity + (wanted - body.velocity).clamp_length_max(change_max);
    let position = map::push_out(config, body.position + velocity * tick_s);
    // What a wall stopped is no longer velocity.
    let velocity = (position - body.position) / tick_s;
    Body {
        position,
        velocity,
        aim: input.aim,
        ..body
    }
}

/// The direction of an aim, a vector of length 1.
#[must_use]
pub fn aim_direction(aim: u16) -> Vec2 {
    let angle = f32::from(aim) * (TAU / AIM_STEPS);
    Vec2::from_angle(angle)
}

/// The aim that points along a direction.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the angle was brought into 0..65536"
)]
pub fn aim_towards(direction: Vec2) -> u16 {
    let steps = direction.to_angle().rem_euclid(TAU) * (AIM_STEPS / TAU);
    (steps as u32 & 0xFFFF) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body() -> Body {
        Body {
            position: Vec2::new(4.0, 15.0),
            velocity: Vec2::ZERO,
            aim: 0,
            life: 0,
            alive: true,
        }
    }

    #[test]
    fn a_body_reaches_its_top_speed_and_no_more() {
        let config = ArenaConfig::builtin();
        let right = ArenaInput {
            stick_x: 100,
            ..Default::default()
        };
        let mut moving = body();
        for _ in 0..30 {
            moving = step(&config, moving, right);
        }
        let speed = moving.velocity.length();
        assert!(
            (speed - config.movement.speed_max_m_per_s).abs() < 0.01,
            "{speed}"
        );
    }

    #[test]
    fn the_dead_do_not_move() {
        let config = ArenaConfig::builtin();
        let dead = Body {
            alive: false,
            velocity: Vec2::ONE,
            ..body()
        };
        let right = ArenaInput {
            stick_x: 100,
            aim: 9,
            ..Default::default()
        };
        assert_eq!(
            step(&config, dead, right),
            Body {
                velocity: Vec2::ZERO,
                ..dead
            }
        );
    }

    #[test]
    fn an_aim_survives_the_way_through_a_direction() {
        for aim in [0, 1_000, 16_384, 40_000, 65_000] {
            let back = aim_towards(aim_direction(aim));
            assert!(back.abs_diff(aim) <= 4, "{aim} became {back}");
        }
    }

    proptest! {
        #[test]
        fn no_input_moves_a_body_faster_than_allowed_or_into_a_wall(
            inputs in prop::collection::vec((-100i8..=100, -100i8..=100), 1..240)
        ) {
            let config = ArenaConfig::builtin();
            let reach = config.movement.speed_max_m_per_s / 60.0 * 1.02;
            let mut moving = body();
            for (stick_x, stick_y) in inputs {
                let input = ArenaInput { stick_x, stick_y, ..Default::default() };
                let next = step(&config, moving, input);
                prop_assert!(next.position.distance(moving.position) <= reach);
                let out = map::push_out(&config, next.position);
                prop_assert!(out.distance(next.position) < 1e-3);
                moving = next;
            }
        }
    }
}
