//! Profiles, totals and match history.

use gameserver_contract::account::{GameStats, MatchRecord, Player, UpdateMe};
use gameserver_contract::ids::PlayerId;
use gameserver_contract::session::Page;

use crate::accounts::store::players::{PlayerRow, Update};
use crate::compose::App;
use crate::kit::cursor::Paging;
use crate::kit::error::Error;
use crate::kit::text::clean_name;
use crate::sessions::store::records::After;

/// Longest name of a player, in characters.
const DISPLAY_NAME_LENGTH_MAX: usize = 32;

impl App {
    /// The profile of the player who is logged in.
    pub(crate) async fn me(&self, player: PlayerId) -> Result<PlayerRow, Error> {
        self.store.player(player).await?.ok_or(Error::LoginGone)
    }

    /// Changes the named fields, when the profile still has this version.
    pub(crate) async fn update_me(
        &self,
        player: PlayerId,
        version: i64,
        update: UpdateMe,
    ) -> Result<PlayerRow, Error> {
        let Some(name) = update.display_name else {
            let row = self.me(player).await?;
            return if row.version == version {
                Ok(row)
            } else {
                Err(Error::VersionMismatch)
            };
        };
        let name = clean_name(&name, DISPLAY_NAME_LENGTH_MAX, "/display_name")
            .map_err(|complaint| Error::Invalid(vec![complaint]))?;
        match self
            .store
            .rename_player(player, version, &name, self.now())
            .await?
        {
            Update::Done(row) => Ok(row),
            Update::VersionMismatch => Err(Error::VersionMismatch),
            Update::NotFound => Err(Error::LoginGone),
        }
    }

    /// A player as others see them.
    pub(crate) async fn player(&self, id: PlayerId) -> Result<Player, Error> {
        Ok(self
            .store
            .player(id)
            .await?
            .ok_or(Error::PlayerNotFound)?
            .player)
    }

    /// A player's totals in each game.
    pub(crate) async fn player_stats(&self, id: PlayerId) -> Result<Vec<GameStats>, Error> {
        self.player(id).await?;
        Ok(self.store.player_stats(id).await?)
    }

    /// A player's matches, newest first.
    pub(crate) async fn player_matches(
        &self,
        id: PlayerId,
        paging: &Paging,
    ) -> Result<Page<MatchRecord>, Error> {
        let list = format!("matches of {id}");
        let after = self.cursors.read(&list, paging)?;
        self.player(id).await?;
        let rows = self
            .store
            .player_matches(id, after, paging.limit + 1)
            .await?;
        let position = |row: &MatchRecord| After {
            at: row.ended_at,
            id: row.match_id.0,
        };
        Ok(self.cursors.page(&list, paging, rows, position))
    }
}
