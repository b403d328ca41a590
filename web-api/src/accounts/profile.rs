//! Profiles: read, changed, shown to others.

use gameserver_contract::account::{Player, UpdateMe};
use gameserver_contract::ids::PlayerId;

use crate::accounts::Accounts;
use crate::accounts::error::Error;
use crate::accounts::store::players::{PlayerRow, Update};
use crate::kit::error::KitError;
use crate::kit::text::clean_name;

/// Longest name of a player, in characters.
const DISPLAY_NAME_LENGTH_MAX: usize = 32;

impl Accounts {
    /// The profile of the player who is logged in.
    pub(crate) async fn me(&self, player: PlayerId) -> Result<PlayerRow, Error> {
        let row = self.store.player(player).await?;
        Ok(row.ok_or(KitError::LoginEnded)?)
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
                Err(KitError::VersionMismatch.into())
            };
        };
        let name = clean_name(&name, DISPLAY_NAME_LENGTH_MAX, "/display_name")
            .map_err(|complaint| KitError::Invalid(vec![complaint]))?;
        match self
            .store
            .rename_player(player, version, &name, self.kit.now())
            .await?
        {
            Update::Done(row) => Ok(row),
            Update::VersionMismatch => Err(KitError::VersionMismatch.into()),
            Update::NotFound => Err(KitError::LoginEnded.into()),
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
}
