//! Whether the database takes writes, for readiness.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::kit::db::backend::{Backend, Tx};
use crate::kit::db::sql::Sql;
use crate::kit::db::{Db, DbError};
use crate::kit::fault::Fault;

/// How often the disk of PostgreSQL is tried while nothing speaks against it. Each try makes and
/// drops a temporary table, which leaves dead rows in the server's catalogue.
const SPACE_INTERVAL: Duration = Duration::from_secs(30);

/// 1 MiB in pages that did not exist before: a row that fits into an old page says nothing of the
/// disk.
const TAKE_SPACE: &str = "CREATE TEMPORARY TABLE gameserver_space ON COMMIT DROP AS \
                          SELECT repeat('x', 1000) AS filler FROM generate_series(1, 1000)";

impl Db {
    /// Writes a row and waits until it is kept, like a request would; tries from time to time, and
    /// whenever a statement found the disk full, whether there is room for more.
    ///
    /// # Errors
    ///
    /// [`DbError`] when the database does not answer, takes no writes or has no room.
    pub async fn check_write(&self, now: DateTime<Utc>) -> Result<(), DbError> {
        let sql = Sql::new(
            "INSERT INTO write_checks (id, checked_at_ms) VALUES (1, $1) \
             ON CONFLICT (id) DO UPDATE SET checked_at_ms = excluded.checked_at_ms",
        );
        self.execute(sql.bind(now)).await?;
        let Backend::Pg(pg) = &self.0 else {
            return Ok(());
        };
        if !pg.must_try_space(SPACE_INTERVAL) {
            return Ok(());
        }
        let tried = self.transaction(|tx| Box::pin(take_space(tx))).await;
        match tried {
            // A role that may not make temporary tables learns nothing more.
            Err(error) if error.fault() != Some(Fault::Failing) => return Err(error),
            Ok(()) | Err(_) => pg.note_space(),
        }
        Ok(())
    }
}

async fn take_space(tx: &mut Tx) -> Result<(), DbError> {
    tx.execute(Sql::new(TAKE_SPACE)).await.map(drop)
}
