//! A policy that plays arena: walk about, aim at the nearest opponent in sight, shoot.
//!
//! What a bot sees comes from a client's World, or from the snapshot stream ([`thin`]); or it sees
//! nothing ([`blind`]).

pub mod blind;
pub mod thin;

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::bot::BotTally;
use gameserver_shared::prelude::*;

use crate::Shooter;
use crate::components::{Body, Fighter};
use crate::config::{ArenaConfig, Ground};
use crate::input::ArenaInput;
use crate::map;
use crate::movement::aim_towards;

/// Extent of the part of a map in which a bot looks for its next goal.
const ERRAND_M: Vec2 = Vec2::new(40.0, 30.0);

/// Where a bot is walking to; kept on its own avatar.
#[derive(Component, Debug, Clone, Copy)]
pub struct Errand {
    goal: Vec2,
    decisions_left: u32,
}

/// The own fighter, as far as a decision needs it.
#[derive(Debug, Clone, Copy)]
struct Own {
    position: Vec2,
    aim: u16,
}

impl<P: Ground> BotPolicy for Shooter<P> {
    fn decide(world: &mut World, own: Entity, rng: &mut MatchRng) -> ArenaInput {
        let Some(body) = world.get::<Body>(own).copied().filter(|body| body.alive) else {
            return ArenaInput::default();
        };
        let mut errand = world.get::<Errand>(own).copied();
        let mut others = world.query_filtered::<(Entity, &Body), With<Avatar>>();
        let opponents = others
            .iter(world)
            .filter(|(entity, other)| *entity != own && other.alive)
            .map(|(_, other)| other.position);
        let fighter = Own {
            position: body.position,
            aim: body.aim,
        };
        let input = decide(
            world.resource::<ArenaConfig>(),
            (fighter, opponents),
            &mut errand,
            rng,
        );
        if let Some(errand) = errand {
            world.entity_mut(own).insert(errand);
        }
        input
    }

    fn tally(world: &mut World, own: Entity) -> BotTally {
        let fighter = world.get::<Fighter>(own).copied().unwrap_or_default();
        tally(fighter.kills.into())
    }
}

fn tally(kills: u32) -> BotTally {
    BotTally {
        kills,
        score: kills.into(),
    }
}

/// The policy itself.
fn decide(
    config: &ArenaConfig,
    (own, opponents): (Own, impl Iterator<Item = Vec2>),
    errand: &mut Option<Errand>,
    rng: &mut MatchRng,
) -> ArenaInput {
    let goal = next_goal(config, own, errand, rng);
    let stick = (goal - own.position).normalize_or_zero() * 100.0;
    let target = nearest_in_sight(config, own, opponents);
    let aim = target.map_or(own.aim, |target| aim_towards(target - own.position));
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

/// Keeps to an errand until it is reached or has taken too long, a wall being in the way. Errands
/// lead no farther than a yard, so that a crowd on a field stays spread over it.
fn next_goal(
    config: &ArenaConfig,
    own: Own,
    errand: &mut Option<Errand>,
    rng: &mut MatchRng,
) -> Vec2 {
    let going_on = errand.filter(|errand| {
        errand.decisions_left > 0 && errand.goal.distance_squared(own.position) > 1.0
    });
    let next = if let Some(errand) = going_on {
        Errand {
            decisions_left: errand.decisions_left - 1,
            ..errand
        }
    } else {
        let map = &config.map;
        let far = Vec2::new(map.width_m, map.height_m);
        let reach = far.min(ERRAND_M);
        let low = (own.position - reach / 2.0).clamp(Vec2::ZERO, far - reach);
        let goal = low + Vec2::new(rng.unit(), rng.unit()) * reach;
        Errand {
            goal,
            decisions_left: 60 + rng.below(120),
        }
    };
    errand.insert(next).goal
}

/// The nearest opponent with no wall in between. Nearer ones are looked at first.
fn nearest_in_sight(
    config: &ArenaConfig,
    own: Own,
    opponents: impl Iterator<Item = Vec2>,
) -> Option<Vec2> {
    let in_sight = |distance: f32, position: Vec2| {
        let direction = (position - own.position).normalize_or_zero();
        map::ray_length(config, own.position, direction, config.weapon.range_m) >= distance
    };
    let mut nearest: Option<(f32, Vec2)> = None;
    for position in opponents {
        let distance = position.distance(own.position);
        let is_nearer = nearest.is_none_or(|nearest| distance < nearest.0);
        if is_nearer && distance <= config.weapon.range_m && in_sight(distance, position) {
            nearest = Some((distance, position));
        }
    }
    nearest.map(|nearest| nearest.1)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the stick's range"
)]
fn percent(share: f32) -> i8 {
    share.clamp(-100.0, 100.0) as i8
}
