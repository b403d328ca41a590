//! The policy for bots that see nothing: straight ways, a turning aim, bursts of fire.

use bevy_math::Vec2;
use gameserver_shared::bot::BlindPolicy;
use gameserver_shared::prelude::*;

use super::percent;
use crate::input::ArenaInput;

/// Decisions for which a way is kept, at least: a second at 60 ticks.
const KEPT_MIN: u32 = 60;
/// And so many more at most.
const KEPT_MORE: u32 = 120;
/// Decisions that a full turn of the aim takes.
const TURN: u16 = 240;

/// Walks somewhere for one to three seconds, looks around, and shoots on every other way.
#[derive(Debug, Clone, Copy, Default)]
pub struct BlindFighter {
    input: ArenaInput,
    decisions_left: u32,
}

impl BlindPolicy for BlindFighter {
    type Input = ArenaInput;

    fn decide(&mut self, rng: &mut MatchRng) -> ArenaInput {
        if self.decisions_left == 0 {
            self.set_out(rng);
        }
        self.decisions_left -= 1;
        self.input.aim = self.input.aim.wrapping_add(u16::MAX / TURN);
        self.input
    }
}

impl BlindFighter {
    fn set_out(&mut self, rng: &mut MatchRng) {
        let way = Vec2::from_angle(rng.unit() * std::f32::consts::TAU) * 100.0;
        self.input = ArenaInput {
            stick_x: percent(way.x),
            stick_y: percent(way.y),
            // The first way is one with fire.
            buttons: self.input.buttons ^ ArenaInput::FIRE,
            ..self.input
        };
        self.decisions_left = KEPT_MIN + rng.below(KEPT_MORE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_walks_all_ways_and_shoots_half_of_the_time_within_the_rules() {
        let (mut fighter, mut rng) = (BlindFighter::default(), MatchRng::seeded(7));
        let inputs: Vec<_> = (0..6_000).map(|_| fighter.decide(&mut rng)).collect();
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
