//! The games of a program, as its `main` lists them.
//!
//! It names none of them.

use std::collections::BTreeSet;
use std::pin::Pin;

use gameserver_client_sim::bots::{self, BotsConfig};
use gameserver_client_sim::load::{self, LoadConfig, LoadError, Progress};
use gameserver_client_sim::{BotsError, LoadReport};
use gameserver_contract::game::GameDescriptor;
use gameserver_contract::ids::GameId;
use gameserver_server::{GameError, HostedGames};
use gameserver_shared::bot::{BotPolicy, ThinBots};
use gameserver_shared::game::Game;
use tokio_util::sync::CancellationToken;

use crate::error::CliError;

/// The games of a program, in the order of the commands' choice.
#[derive(Debug, Clone, Default)]
pub struct Games {
    hosted: Vec<(GameId, Host)>,
    with_bots: Vec<GameWithBots>,
}

/// A game that bots play, and how commands make them.
#[derive(Debug, Clone)]
pub(crate) struct GameWithBots {
    pub(crate) descriptor: GameDescriptor,
    /// Plays as `gameserver bots` does.
    pub(crate) play: Play,
    /// Plays as `gameserver load` does.
    pub(crate) load: Load,
}

type Host = fn(HostedGames) -> Result<HostedGames, GameError>;
type Play = for<'a> fn(
    &'a BotsConfig,
    &'a CancellationToken,
    &'a mut (dyn FnMut(&LoadReport) + Send),
) -> Running<'a, Result<LoadReport, BotsError>>;
type Load = for<'a> fn(
    &'a LoadConfig,
    &'a CancellationToken,
    String,
    &'a mut (dyn FnMut(&Progress<'_>) + Send),
) -> Running<'a, Result<LoadReport, LoadError>>;
/// What a command waits for, whichever the game.
type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Games {
    /// No game yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a game that people alone play.
    #[must_use]
    pub fn add<G: Game>(mut self) -> Self {
        self.hosted
            .push((G::descriptor().id, HostedGames::with::<G>));
        self
    }

    /// Adds a game that bots can play, too. By default the samples of `dev` and the command `bots`
    /// take the first of these, and `load` the one whose default mode seats the most players.
    #[must_use]
    pub fn add_with_bots<G: ThinBots>(mut self) -> Self {
        self.with_bots.push(GameWithBots {
            descriptor: G::descriptor(),
            play: play::<G>,
            load: load::<G>,
        });
        self.add::<G>()
    }

    /// What an instance hosts.
    ///
    /// # Errors
    ///
    /// A descriptor contradicts itself, or two games have one id.
    pub(crate) fn hosted(&self) -> Result<HostedGames, CliError> {
        let mut seen = BTreeSet::new();
        if let Some(id) = self.ids().find(|id| !seen.insert(*id)) {
            let id = id.as_str();
            return Err(CliError::Usage(format!("two games have the id {id}")));
        }
        let mut hosted = self.hosted.iter();
        let hosted = hosted.try_fold(HostedGames::default(), |games, (_, host)| host(games));
        Ok(hosted?)
    }

    /// The ids of all of them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &GameId> {
        self.hosted.iter().map(|(id, _)| id)
    }

    /// The game that a few bots play: the one of this id, or the first.
    pub(crate) fn for_bots(&self, id: Option<&str>) -> Result<&GameWithBots, CliError> {
        self.choose(id, self.with_bots.first())
    }

    /// The game that a crowd plays: the one of this id, or the largest.
    pub(crate) fn for_crowd(&self, id: Option<&str>) -> Result<&GameWithBots, CliError> {
        // Of equals this takes the last, so they are asked from the end.
        let games = self.with_bots.iter().rev();
        self.choose(id, games.max_by_key(|game| game.players_default()))
    }

    fn choose<'a>(
        &'a self,
        id: Option<&str>,
        default: Option<&'a GameWithBots>,
    ) -> Result<&'a GameWithBots, CliError> {
        let Some(id) = id else {
            let none = || CliError::Usage("no game of this program has bots".to_owned());
            return default.ok_or_else(none);
        };
        let mut games = self.with_bots.iter();
        let chosen = games.find(|game| game.descriptor.id.as_str() == id);
        chosen.ok_or_else(|| {
            let ids = self
                .with_bots
                .iter()
                .map(|game| game.descriptor.id.as_str());
            let ids: Vec<_> = ids.collect();
            CliError::Usage(format!(
                "this program has no bots for {id}; it has them for {}",
                ids.join(", ")
            ))
        })
    }
}

impl GameWithBots {
    fn players_default(&self) -> u16 {
        let mode = self.descriptor.mode(None);
        mode.map_or(0, |mode| mode.players_default)
    }
}

fn play<'a, G: BotPolicy>(
    config: &'a BotsConfig,
    stop: &'a CancellationToken,
    progress: &'a mut (dyn FnMut(&LoadReport) + Send),
) -> Running<'a, Result<LoadReport, BotsError>> {
    Box::pin(bots::run::<G>(config, stop, progress))
}

fn load<'a, G: ThinBots>(
    config: &'a LoadConfig,
    stop: &'a CancellationToken,
    began_at: String,
    progress: &'a mut (dyn FnMut(&Progress<'_>) + Send),
) -> Running<'a, Result<LoadReport, LoadError>> {
    Box::pin(load::run::<G>(config, stop, began_at, progress))
}

#[cfg(test)]
mod tests {
    use game_reference::Reference;

    use super::*;

    fn games() -> Games {
        Games::new()
            .add_with_bots::<Reference<60>>()
            .add_with_bots::<Reference<20>>()
    }

    #[test]
    fn the_first_game_is_chosen_among_equals_unless_one_is_named() {
        let games = games();
        let id = |game: Result<&GameWithBots, CliError>| game.unwrap().descriptor.id.clone();
        assert_eq!(id(games.for_bots(None)).as_str(), "reference-60");
        assert_eq!(id(games.for_crowd(None)).as_str(), "reference-60");
        assert_eq!(
            id(games.for_crowd(Some("reference-20"))).as_str(),
            "reference-20"
        );
        let unknown = games.for_bots(Some("chess")).unwrap_err().to_string();
        assert!(
            unknown.ends_with("for reference-60, reference-20"),
            "{unknown}"
        );
    }

    #[test]
    fn a_game_without_bots_is_hosted_and_not_played() {
        let games = Games::new().add::<Reference<60>>();
        assert_eq!(games.hosted().unwrap().descriptors().count(), 1);
        assert!(games.for_bots(None).is_err());
        assert!(games.for_crowd(Some("reference-60")).is_err());
    }

    #[test]
    fn two_games_of_one_id_are_refused() {
        let twice = games().add::<Reference<20>>().hosted();
        let refused = twice.unwrap_err().to_string();
        assert_eq!(refused, "two games have the id reference-20");
    }
}
