//! The games that an instance can host, with their types erased.

use std::collections::BTreeMap;

use bevy_app::App;
use gameserver_contract::game::{DescriptorError, GameDescriptor};
use gameserver_contract::ids::GameId;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::game::Game;

use crate::simulation;

/// What an instance hosts: `Games::default().with::<Arena>()?`.
#[derive(Debug, Clone, Default)]
pub struct Games {
    hosted: BTreeMap<GameId, HostedGame>,
}

/// One game.
#[derive(Debug, Clone)]
pub struct HostedGame {
    /// What the lobby knows of it.
    pub descriptor: GameDescriptor,
    /// Builds the App of a match.
    pub build: fn(MatchSettings) -> App,
}

impl Games {
    /// Adds a game.
    ///
    /// # Errors
    ///
    /// The game's descriptor contradicts itself.
    pub fn with<G: Game>(mut self) -> Result<Self, DescriptorError> {
        let descriptor = G::descriptor();
        descriptor.check()?;
        let build = simulation::build_match::<G>;
        self.hosted
            .insert(descriptor.id.clone(), HostedGame { descriptor, build });
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
