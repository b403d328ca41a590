//! Holds the games that an instance can host, with their types erased. It does not know matches.

use std::collections::BTreeMap;

use bevy_app::App;
use gameserver_contract::game::{DescriptorError, GameDescriptor};
use gameserver_contract::ids::GameId;
use gameserver_shared::declaration::{DeclarationError, StateSchema};
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::game::Game;
use gameserver_shared::protocol;

use crate::simulation::{self, StartFrame};

/// What an instance hosts: `HostedGames::default().with::<Arena>()?`.
#[derive(Debug, Clone, Default)]
pub struct HostedGames {
    hosted: BTreeMap<GameId, HostedGame>,
}

/// One game.
#[derive(Debug, Clone)]
pub struct HostedGame {
    /// What the lobby needs.
    pub descriptor: GameDescriptor,
    /// What its clients must send and understand, as one number.
    pub fingerprint: u64,
    /// The first frame of a thin connection.
    pub start: StartFrame,
    /// Whether its matches are simulated while nobody is in them.
    pub steps_when_empty: bool,
    /// Builds the App of a match.
    pub build: fn(MatchSettings) -> App,
}

/// Why a game cannot be hosted.
#[derive(Debug, thiserror::Error)]
pub enum GameError {
    /// What the lobby knows of it contradicts itself.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The declaration of its state contradicts itself.
    #[error("the state of {game} contradicts itself")]
    State {
        /// The game.
        game: GameId,
        /// What contradicts what.
        source: DeclarationError,
    },
}

impl HostedGames {
    /// Adds a game.
    ///
    /// # Errors
    ///
    /// The game's descriptor, or the declaration of its state, contradicts itself.
    pub fn with<G: Game>(mut self) -> Result<Self, GameError> {
        let descriptor = G::descriptor();
        descriptor.check()?;
        StateSchema::of::<G>().map_err(|source| GameError::State {
            game: descriptor.id.clone(),
            source,
        })?;
        let build = simulation::build_match::<G>;
        let mut sample = build(sample_settings(&descriptor));
        let game = HostedGame {
            descriptor,
            fingerprint: protocol::fingerprint(sample.world_mut()),
            start: sample.world().resource::<StartFrame>().clone(),
            steps_when_empty: G::STEPS_WHEN_EMPTY,
            build,
        };
        self.hosted.insert(game.descriptor.id.clone(), game);
        Ok(self)
    }

    /// The game of that name.
    #[must_use]
    pub fn get(&self, id: &GameId) -> Option<&HostedGame> {
        self.hosted.get(id)
    }

    /// All of them, by name.
    pub fn descriptors(&self) -> impl Iterator<Item = &GameDescriptor> {
        self.hosted.values().map(|game| &game.descriptor)
    }
}

/// A match that is built once to find out what it sends, and never played.
fn sample_settings(game: &GameDescriptor) -> MatchSettings {
    let mode = game.modes.first();
    MatchSettings {
        mode: mode.map_or_else(String::new, |mode| mode.id.clone()),
        players_min: mode.map_or(1, |mode| mode.players_min),
        players_max: mode.map_or(1, |mode| mode.players_max),
        tick_rate_hz: game.tick_rate_hz,
        seed: 0,
    }
}
