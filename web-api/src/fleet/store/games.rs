//! The games that instances of this deployment host or have hosted.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::GameId;

use crate::kit::db::sql::{Sql, Value};
use crate::kit::db::{Store, StoreError};

impl Store {
    /// Remembers for good that these games are hosted here.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer.
    pub async fn remember_games(
        &self,
        games: &[GameId],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let rows = games.iter().map(|game| [Value::from(game), now.into()]);
        let head = "INSERT INTO hosted_games (game, registered_at_ms) VALUES";
        let tail = "ON CONFLICT (game) DO NOTHING";
        for statement in Sql::with_rows(head, rows.collect(), tail) {
            self.db.execute(statement).await?;
        }
        Ok(())
    }

    /// True when some instance has ever hosted this game.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer.
    pub async fn knows_game(&self, game: &GameId) -> Result<bool, StoreError> {
        let sql = Sql::new("SELECT game FROM hosted_games WHERE game = $1").bind(game);
        let found: Option<(String,)> = self.db.optional(sql).await?;
        Ok(found.is_some())
    }
}
