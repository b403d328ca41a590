//! How a game lets programs play it, for tests, samples and load.

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use gameserver_stream::reader::{SnapshotReader, Start};

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

/// A game that crowds of bots can play, which know nothing but what they are sent.
pub trait ThinBots: BotPolicy {
    /// The same policy for those that know the snapshot stream only.
    type Thin: ThinPolicy<Input = Self::Input>;

    /// A policy for those that do not even read what they are sent.
    type Blind: BlindPolicy<Input = Self::Input>;
}

/// A policy that sees nothing: it moves about and uses what the game has, at random. Light native
/// bots play so, because reading replicated state costs as much as a whole client.
pub trait BlindPolicy: Default + Send + 'static {
    /// What a player sends for one tick.
    type Input;

    /// The input for the next tick.
    fn decide(&mut self, rng: &mut MatchRng) -> Self::Input;
}

/// A policy that plays from the snapshot stream alone. What it has learnt of the match is shared by
/// all bots in it.
pub trait ThinPolicy: Send + Sync + Sized + 'static {
    /// What a player sends for one tick.
    type Input;
    /// What one bot keeps in mind from one decision to the next.
    type Mind: Default + Send + 'static;

    /// Learns what the numbers of the snapshots mean. None when this is not the game.
    fn learn(start: &Start) -> Option<Self>;

    /// The input of the player on this seat, until the next snapshot.
    fn decide(
        &self,
        mind: &mut Self::Mind,
        seat: Seat,
        known: &SnapshotReader,
        rng: &mut MatchRng,
    ) -> Self::Input;

    /// The player's numbers.
    fn tally(&self, seat: Seat, known: &SnapshotReader) -> BotTally;
}

/// What a bot has achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BotTally {
    /// Opponents defeated.
    pub kills: u32,
    /// The game's score.
    pub score: i64,
}
