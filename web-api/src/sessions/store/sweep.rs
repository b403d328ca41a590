//! Deletes what has expired. Nothing relies on it: expired rows count as gone everywhere.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::SessionId;
use uuid::Uuid;

use crate::kit::db::backend::Tx;
use crate::kit::db::sql::{Sql, Value};
use crate::kit::db::{Store, StoreError};

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many rows. Logins that went with their last token are not counted.
    pub rows: u64,
    /// Sessions that lost holds.
    pub sessions: Vec<SessionId>,
}

impl Store {
    /// Deletes expired refresh tokens, remembered answers, leases and seat holds, and logins
    /// without a token left.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer; each kind is deleted whole or not at all.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<Swept, StoreError> {
        let mut rows = 0;
        for (expired, counts) in EXPIRED {
            let delete = Sql::new(expired).bind(now);
            let deleted = self
                .db
                .background_transaction(move |tx| Box::pin(async move { tx.execute(delete).await }))
                .await?;
            rows += if counts { deleted } else { 0 };
        }
        let (holds, sessions) = self
            .db
            .background_transaction(move |tx| Box::pin(sweep_holds(tx, now)))
            .await?;
        Ok(Swept {
            rows: rows + holds,
            sessions,
        })
    }
}

/// What ends at `$1`, and whether it is counted.
const EXPIRED: [(&str, bool); 4] = [
    ("DELETE FROM refresh_tokens WHERE expires_at_ms <= $1", true),
    ("DELETE FROM logins WHERE expires_at_ms <= $1", false),
    (
        "DELETE FROM remembered_answers WHERE expires_at_ms <= $1",
        true,
    ),
    ("DELETE FROM instance_leases WHERE until_ms <= $1", false),
];

/// The players of a session change when a hold ends, so its version counts up with the sweep.
/// Sessions are locked before their seats, in the order of ids, like everywhere.
async fn sweep_holds(tx: &mut Tx, now: DateTime<Utc>) -> Result<(u64, Vec<SessionId>), StoreError> {
    let lock = Sql::locking(
        "SELECT id FROM sessions \
         WHERE id IN (SELECT session_id FROM seats WHERE held_until_ms <= $1) ORDER BY id",
    );
    let sessions: Vec<(Uuid,)> = tx.all(lock.bind(now)).await?;
    if sessions.is_empty() {
        return Ok((0, Vec::new()));
    }
    let rows = sessions
        .iter()
        .map(|(id,)| [Value::from(*id), now.into()])
        .collect();
    let head = "UPDATE sessions SET version = version + 1, updated_at_ms = swept.column2 \
                FROM (VALUES";
    let tail = ") AS swept WHERE sessions.id = swept.column1";
    tx.execute_each(Sql::with_rows(head, rows, tail)).await?;
    let holds = tx
        .execute(Sql::new("DELETE FROM seats WHERE held_until_ms <= $1").bind(now))
        .await?;
    let sessions = sessions.into_iter().map(|(id,)| SessionId(id)).collect();
    Ok((holds, sessions))
}
