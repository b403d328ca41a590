//! How a game lets programs play it, for tests, samples and load.

use bevy_ecs::prelude::*;

use crate::determinism::MatchRng;
use crate::game::Game;

/// A policy that plays: what I see and a random source in, an input out.
pub trait BotPolicy: Game {
    /// The input of `own` for the next tick. The world is the client's: it holds only what the
    /// player was sent.
    fn decide(world: &mut World, own: Entity, rng: &mut MatchRng) -> Self::Input;

    /// The own player's numbers for the bot report, as the client knows them.
    fn tally(world: &mut World, own: Entity) -> BotTally;
}

/// What a bot has achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BotTally {
    /// Opponents defeated.
    pub kills: u32,
    /// The game's score.
    pub score: i64,
}
