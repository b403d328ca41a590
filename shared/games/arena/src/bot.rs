//! A policy that plays arena: walk about, aim at the nearest opponent in sight, shoot. One that
//! sees nobody walks straight ways, turns its aim and shoots in bursts.

use bevy_math::Vec2;
use gameserver_shared::prelude::*;

use crate::Shooter;
use crate::config::{ArenaConfig, Ground};
use crate::input::ArenaInput;
use crate::map;
use crate::movement::{AIM_STEPS, aim_towards};

/// Extent of the part of a map in which a bot looks for its next goal.
const ERRAND_M: Vec2 = Vec2::new(40.0, 30.0);
/// Decisions for which a way is kept at least by a bot that sees nobody: a second at 60 ticks.
const WAY_KEPT_MIN: u32 = 60;
/// And so many more at most.
const WAY_KEPT_MORE: u32 = 120;
/// Decisions that a full turn of its aim takes.
const TURN: u16 = 240;

/// What a bot remembers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Where it walks to, when it sees where it is.
    goal: Vec2,
    /// What it does, when it does not.
    blind: ArenaInput,
    decisions_left: u32,
}

/// The own fighter, as far as a decision needs it.
#[derive(Debug, Clone, Copy)]
struct Own {
    position: Vec2,
    aim: u16,
}

impl<P: Ground> BotGame for Shooter<P> {
    type Memory = Memory;

    const FIELDS: &'static [&'static str] = &["x", "y", "life", "aim", "kills"];

    fn decide(memory: &mut Memory, view: &BotView, rng: &mut MatchRng) -> ArenaInput {
        let Some(own) = view.own() else {
            return memory.wander(rng);
        };
        let Some(position) = alive_at(own) else {
            return ArenaInput::default();
        };
        let own = Own {
            position,
            aim: aim(own),
        };
        memory.decide(P::config(), own, view.others().filter_map(alive_at), rng)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "kills are a small whole number"
    )]
    fn tally(own: &[f32]) -> BotTally {
        let kills = own[4] as u32;
        BotTally {
            kills,
            score: kills.into(),
        }
    }
}

/// Where a fighter is. A life that is even is lived, an odd one is over.
fn alive_at(fighter: &[f32]) -> Option<Vec2> {
    (fighter[2] % 2.0 == 0.0).then_some(Vec2::new(fighter[0], fighter[1]))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a turn, below 1"
)]
fn aim(fighter: &[f32]) -> u16 {
    (fighter[3] * AIM_STEPS) as u16
}

impl Memory {
    fn decide(
        &mut self,
        config: &ArenaConfig,
        own: Own,
        opponents: impl Iterator<Item = Vec2>,
        rng: &mut MatchRng,
    ) -> ArenaInput {
        self.keep_or_choose_goal(config, own, rng);
        let stick = (self.goal - own.position).normalize_or_zero() * 100.0;
        let target = nearest_in_sight(config, own, opponents);
        ArenaInput {
            stick_x: percent(stick.x),
            stick_y: percent(stick.y),
            aim: target.map_or(own.aim, |target| aim_towards(target - own.position)),
            buttons: target.map_or(0, |_| ArenaInput::FIRE),
        }
    }

    /// Keeps to a goal until it is reached or has taken too long, a wall being in the way. It is
    /// no farther than a yard, so that a crowd on a field stays spread over it.
    fn keep_or_choose_goal(&mut self, config: &ArenaConfig, own: Own, rng: &mut MatchRng) {
        if self.decisions_left > 0 && self.goal.distance_squared(own.position) > 1.0 {
            self.decisions_left -= 1;
            return;
        }
        let far = Vec2::new(config.map.width_m, config.map.height_m);
        let reach = far.min(ERRAND_M);
        let low = (own.position - reach / 2.0).clamp(Vec2::ZERO, far - reach);
        self.goal = low + Vec2::new(rng.unit(), rng.unit()) * reach;
        self.decisions_left = 60 + rng.below(120);
    }

    /// Walks somewhere for one to three seconds, looks around, and shoots on every other way.
    fn wander(&mut self, rng: &mut MatchRng) -> ArenaInput {
        if self.decisions_left == 0 {
            let way = Vec2::from_angle(rng.unit() * std::f32::consts::TAU) * 100.0;
            self.blind.stick_x = percent(way.x);
            self.blind.stick_y = percent(way.y);
            // The first way is one with fire.
            self.blind.buttons ^= ArenaInput::FIRE;
            self.decisions_left = WAY_KEPT_MIN + rng.below(WAY_KEPT_MORE);
        }
        self.decisions_left -= 1;
        self.blind.aim = self.blind.aim.wrapping_add(u16::MAX / TURN);
        self.blind
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_sees_nobody_walks_all_ways_and_shoots_half_of_the_time_within_the_rules() {
        let (mut memory, mut rng) = (Memory::default(), MatchRng::seeded(7));
        let inputs: Vec<_> = (0..6_000).map(|_| memory.wander(&mut rng)).collect();
        assert!(inputs.iter().all(|input| input.check().is_ok()));
        assert!(inputs.iter().all(|input| input.stick().length() > 0.95));
        let fire = inputs.iter().filter(|input| input.holds(ArenaInput::FIRE));
        assert!((2_000..4_000).contains(&fire.count()));
        let mean = inputs.iter().map(|input| input.stick()).sum::<Vec2>() / 6_000.0;
        assert!(mean.length() < 0.4, "{mean}");
        let one_turn = &inputs[..=usize::from(TURN)];
        assert!(one_turn.iter().any(|input| input.aim > 49_152));
        assert!(one_turn.iter().any(|input| input.aim < 16_384));
    }
}
