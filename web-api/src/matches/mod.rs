//! Matches: results, histories, totals and replays.

pub(crate) mod api;
pub(crate) mod error;
pub(crate) mod replay_api;
pub(crate) mod replays;
pub(crate) mod results;
pub(crate) mod store;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gameserver_contract::account::{GameStats, MatchRecord};
use gameserver_contract::ids::PlayerId;
use gameserver_contract::session::Page;

use self::store::MatchesStore;
use crate::accounts::Accounts;
use crate::fleet::Fleet;
use crate::kit::Kit;
use crate::kit::cursor::{After, Paging};
use crate::matches::error::Error;
use crate::sessions::Sessions;

/// Matches that are over.
#[derive(Debug)]
pub(crate) struct Matches {
    kit: Kit,
    store: MatchesStore,
    accounts: Arc<Accounts>,
    fleet: Arc<Fleet>,
    sessions: Arc<Sessions>,
}

impl Matches {
    /// Keeps what became of the matches of these sessions.
    pub(crate) fn new(
        kit: &Kit,
        accounts: Arc<Accounts>,
        fleet: Arc<Fleet>,
        sessions: Arc<Sessions>,
    ) -> Self {
        Self {
            kit: kit.clone(),
            store: MatchesStore(kit.db.clone()),
            accounts,
            fleet,
            sessions,
        }
    }

    /// A player's totals in each game.
    pub(crate) async fn player_stats(&self, id: PlayerId) -> Result<Vec<GameStats>, Error> {
        self.accounts.player(id).await?;
        Ok(self.store.player_stats(id).await?)
    }

    /// A player's matches, newest first.
    pub(crate) async fn player_matches(
        &self,
        id: PlayerId,
        paging: &Paging,
    ) -> Result<Page<MatchRecord>, Error> {
        let list = format!("matches of {id}");
        let after = self.kit.cursors.read(&list, paging)?;
        self.accounts.player(id).await?;
        let rows = self
            .store
            .player_matches(id, after, paging.limit + 1)
            .await?;
        let position = |row: &MatchRecord| After {
            at: row.ended_at,
            id: row.match_id.0,
        };
        Ok(self.kit.cursors.page(&list, paging, rows, position))
    }
}
