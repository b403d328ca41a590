//! Deletes holds that have ended. Nothing relies on it: they count as free everywhere.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::SessionId;
use uuid::Uuid;

use crate::kit::db::DbError;
use crate::kit::db::backend::Tx;
use crate::kit::db::sql::{Sql, Value};
use crate::sessions::store::SessionsStore;

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Swept {
    /// How many holds.
    pub(crate) rows: u64,
    /// Sessions that lost holds.
    pub(crate) sessions: Vec<SessionId>,
}

impl SessionsStore {
    /// Deletes holds that have ended.
    pub(crate) async fn sweep_holds(&self, now: DateTime<Utc>) -> Result<Swept, DbError> {
        self.0
            .background_transaction(move |tx| Box::pin(sweep_holds(tx, now)))
            .await
    }
}

/// The players of a session change when a hold ends, so its version counts up with the sweep.
/// Sessions are locked before their seats, in the order of ids, like everywhere.
async fn sweep_holds(tx: &mut Tx, now: DateTime<Utc>) -> Result<Swept, DbError> {
    let lock = Sql::locking(
        "SELECT id FROM sessions \
         WHERE id IN (SELECT session_id FROM seats WHERE held_until_ms <= $1) ORDER BY id",
    );
    let sessions: Vec<(Uuid,)> = tx.all(lock.bind(now)).await?;
    if sessions.is_empty() {
        return Ok(Swept::default());
    }
    let rows = sessions
        .iter()
        .map(|(id,)| [Value::from(*id), now.into()])
        .collect();
    let head = "UPDATE sessions SET version = version + 1, updated_at_ms = swept.column2 \
                FROM (VALUES";
    let tail = ") AS swept WHERE sessions.id = swept.column1";
    tx.execute_each(Sql::with_rows(head, rows, tail)).await?;
    let rows = tx
        .execute(Sql::new("DELETE FROM seats WHERE held_until_ms <= $1").bind(now))
        .await?;
    let sessions = sessions.into_iter().map(|(id,)| SessionId(id)).collect();
    Ok(Swept { rows, sessions })
}
