//! A walker that keeps walking: a straight way for a while, then another one.

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::bot::{BlindPolicy, BotTally, ThinBots, ThinPolicy};
use gameserver_shared::prelude::*;
use gameserver_shared::stream::reader::{SnapshotReader, Start};

use crate::{Reference, Step};

/// Decisions for which a way is kept, at least.
const KEPT_MIN: u32 = 30;
/// And so many more at most.
const KEPT_MORE: u32 = 90;

/// The way that a walker is on; kept on its own avatar.
#[derive(Component, Debug, Clone, Copy, Default)]
pub struct Way {
    step: Step,
    decisions_left: u32,
}

impl Way {
    fn next(&mut self, rng: &mut MatchRng) -> Step {
        if self.decisions_left == 0 {
            let way = Vec2::from_angle(rng.unit() * std::f32::consts::TAU) * 100.0;
            *self = Self {
                step: Step {
                    x: percent(way.x),
                    y: percent(way.y),
                },
                decisions_left: KEPT_MIN + rng.below(KEPT_MORE),
            };
        }
        self.decisions_left -= 1;
        self.step
    }
}

/// Needs to know nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Walker;

impl ThinPolicy for Walker {
    type Input = Step;
    type Mind = Way;

    fn learn(_: &Start) -> Option<Self> {
        Some(Self)
    }

    fn decide(&self, way: &mut Way, _: Seat, _: &SnapshotReader, rng: &mut MatchRng) -> Step {
        way.next(rng)
    }

    fn tally(&self, _: Seat, _: &SnapshotReader) -> BotTally {
        BotTally::default()
    }
}

impl BlindPolicy for Way {
    type Input = Step;

    fn decide(&mut self, rng: &mut MatchRng) -> Step {
        self.next(rng)
    }
}

impl<const HZ: u16> BotPolicy for Reference<HZ> {
    fn decide(world: &mut World, own: Entity, rng: &mut MatchRng) -> Step {
        let mut way = world.get::<Way>(own).copied().unwrap_or_default();
        let step = way.next(rng);
        world.entity_mut(own).insert(way);
        step
    }

    fn tally(_: &mut World, _: Entity) -> BotTally {
        BotTally::default()
    }
}

impl<const HZ: u16> ThinBots for Reference<HZ> {
    type Thin = Walker;
    type Blind = Way;
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the step's range"
)]
fn percent(share: f32) -> i8 {
    share.clamp(-100.0, 100.0) as i8
}
