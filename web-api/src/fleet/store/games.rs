//! The games that instances of this deployment host or have hosted.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::GameId;

use crate::fleet::store::FleetStore;
use crate::kit::db::DbError;
use crate::kit::db::sql::{Sql, Value};

impl FleetStore {
    /// Remembers for good that these games are hosted here.
    pub(crate) async fn remember_games(
        &self,
        games: &[GameId],
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let rows = games.iter().map(|game| [Value::from(game), now.into()]);
        let head = "INSERT INTO hosted_games (game, registered_at_ms) VALUES";
        let tail = "ON CONFLICT (game) DO NOTHING";
        for statement in Sql::with_rows(head, rows.collect(), tail) {
            self.0.execute(statement).await?;
        }
        Ok(())
    }

    /// True when some instance has ever hosted this game.
    pub(crate) async fn knows_game(&self, game: &GameId) -> Result<bool, DbError> {
        let sql = Sql::new("SELECT game FROM hosted_games WHERE game = $1").bind(game);
        let found: Option<(String,)> = self.0.optional(sql).await?;
        Ok(found.is_some())
    }
}
