//! A policy that plays arena: walk about, aim at the nearest opponent in sight, shoot.

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::bot::BotTally;
use gameserver_shared::prelude::*;

use crate::Arena;
use crate::components::{Body, Fighter};
use crate::config::ArenaConfig;
use crate::input::ArenaInput;
use crate::map;
use crate::movement::aim_towards;

/// Where a bot is walking to; kept on its own avatar.
#[derive(Component, Debug, Clone, Copy)]
pub struct Errand {
    goal: Vec2,
    decisions_left: u32,
}

impl BotPolicy for Arena {
    fn decide(world: &mut World, own: Entity, rng: &mut MatchRng) -> ArenaInput {
        let Some(body) = world.get::<Body>(own).copied().filter(|body| body.alive) else {
            return ArenaInput::default();
        };
        let goal = next_goal(world, own, body, rng);
        let stick = (goal - body.position).normalize_or_zero() * 100.0;
        let target = nearest_in_sight(world, own, body);
        let aim = target.map_or(body.aim, |target| aim_towards(target - body.position));
        let buttons = if target.is_some() {
            ArenaInput::FIRE
        } else {
            0
        };
        ArenaInput {
            stick_x: percent(stick.x),
            stick_y: percent(stick.y),
            aim,
            buttons,
        }
    }

    fn tally(world: &mut World, own: Entity) -> BotTally {
        let fighter = world.get::<Fighter>(own).copied().unwrap_or_default();
        BotTally {
            kills: fighter.kills.into(),
            score: fighter.kills.into(),
        }
    }
}

/// Keeps to an errand until it is reached or has taken too long, a wall being in the way.
fn next_goal(world: &mut World, own: Entity, body: Body, rng: &mut MatchRng) -> Vec2 {
    let current = world.get::<Errand>(own).copied();
    let going_on = current.filter(|errand| {
        errand.decisions_left > 0 && errand.goal.distance_squared(body.position) > 1.0
    });
    let errand = if let Some(errand) = going_on {
        Errand {
            decisions_left: errand.decisions_left - 1,
            ..errand
        }
    } else {
        let map = &world.resource::<ArenaConfig>().map;
        let goal = Vec2::new(rng.unit() * map.width_m, rng.unit() * map.height_m);
        Errand {
            goal,
            decisions_left: 60 + rng.below(120),
        }
    };
    world.entity_mut(own).insert(errand);
    errand.goal
}

fn nearest_in_sight(world: &mut World, own: Entity, body: Body) -> Option<Vec2> {
    let mut opponents = world.query_filtered::<(Entity, &Body), With<Avatar>>();
    let config = world.resource::<ArenaConfig>();
    opponents
        .iter(world)
        .filter(|(entity, other)| *entity != own && other.alive)
        .map(|(_, other)| (other.position.distance(body.position), other.position))
        .filter(|(distance, position)| {
            let direction = (*position - body.position).normalize_or_zero();
            let sight = map::ray_length(config, body.position, direction, config.weapon.range_m);
            sight >= *distance
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, position)| position)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the stick's range"
)]
fn percent(share: f32) -> i8 {
    share.clamp(-100.0, 100.0) as i8
}
