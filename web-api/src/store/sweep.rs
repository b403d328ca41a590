//! Deletes what has expired. Nothing relies on it: expired rows count as gone everywhere.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::db::Tx;
use super::sql::{Sql, Value};
use super::{Store, StoreError};

impl Store {
    /// Deletes expired refresh tokens, remembered answers and seat holds; returns how many rows.
    /// Logins without a token left go with them, uncounted.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer; each kind is deleted whole or not at all.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let tokens = Sql::new("DELETE FROM refresh_tokens WHERE expires_at_ms <= $1").bind(now);
        let tokens = self.db.execute(tokens).await?;
        let logins = Sql::new("DELETE FROM logins WHERE expires_at_ms <= $1").bind(now);
        self.db.execute(logins).await?;
        let answers = Sql::new("DELETE FROM remembered_answers WHERE expires_at_ms <= $1");
        let answers = self.db.execute(answers.bind(now)).await?;
        let holds = self
            .db
            .transaction(move |tx| Box::pin(sweep_holds(tx, now)))
            .await?;
        Ok(tokens + answers + holds)
    }
}

/// The players of a session change when a hold ends, so its version counts up with the sweep.
/// Sessions are locked before their seats, in the order of ids, like everywhere.
async fn sweep_holds(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let lock = Sql::locking(
        "SELECT id FROM sessions \
         WHERE id IN (SELECT session_id FROM seats WHERE held_until_ms <= $1) ORDER BY id",
    );
    let sessions: Vec<(Uuid,)> = tx.all(lock.bind(now)).await?;
    if sessions.is_empty() {
        return Ok(0);
    }
    let rows = sessions
        .into_iter()
        .map(|(id,)| [Value::from(id), now.into()])
        .collect();
    let head = "UPDATE sessions SET version = version + 1, updated_at_ms = swept.column2 \
                FROM (VALUES";
    let tail = ") AS swept WHERE sessions.id = swept.column1";
    tx.execute_each(Sql::with_rows(head, rows, tail)).await?;
    tx.execute(Sql::new("DELETE FROM seats WHERE held_until_ms <= $1").bind(now))
        .await
}
