//! A walker that keeps walking: a straight way for a while, then another one. It needs to see
//! nothing.

use bevy_math::Vec2;
use gameserver_shared::prelude::*;

use crate::{Reference, Step};

/// Decisions for which a way is kept, at least.
const KEPT_MIN: u32 = 30;
/// And so many more at most.
const KEPT_MORE: u32 = 90;

/// The way that a walker is on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way {
    step: Step,
    decisions_left: u32,
}

impl<const HZ: u16> BotGame for Reference<HZ> {
    type Memory = Way;

    fn decide(way: &mut Way, _: &BotView, rng: &mut MatchRng) -> Step {
        if way.decisions_left == 0 {
            let direction = Vec2::from_angle(rng.unit() * std::f32::consts::TAU) * 100.0;
            way.step = Step {
                x: percent(direction.x),
                y: percent(direction.y),
            };
            way.decisions_left = KEPT_MIN + rng.below(KEPT_MORE);
        }
        way.decisions_left -= 1;
        way.step
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the step's range"
)]
fn percent(share: f32) -> i8 {
    share.clamp(-100.0, 100.0) as i8
}
