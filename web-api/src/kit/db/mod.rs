//! The durable store: players, logins, sessions, seats and results in PostgreSQL or SQLite.
//!
//! It knows SQL and nothing of HTTP, tokens or rules of the lobby beyond what one transaction must
//! hold together (a seat is never given twice, a result is stored once). "Not found" is `None`.
//! Each statement has one text for both databases. Every operation has one deadline, and a write
//! that has begun goes on when its caller goes away.

pub(crate) mod backend;
mod connect;
mod fault;
mod health;
pub(crate) mod idempotency;
mod migrations;
pub(crate) mod pg;
mod reach;
pub(crate) mod sql;

#[cfg(test)]
pub(crate) mod contract_tests;

use crate::kit::db::backend::Db;
use crate::kit::db::sql::Sql;

/// Handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) db: Db,
}

/// Why the database could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, a timeout, or a failed statement.
    #[error("reach the database")]
    Database(#[source] sqlx::Error),
    /// It took longer than a request waits.
    #[error("get an answer from the database within {0:?}")]
    Deadline(std::time::Duration),
    /// The schema could not be brought up to date.
    #[error("migrate the database")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The URL is neither `postgres://` nor `sqlite:`, or cannot be read.
    #[error("use the database URL: {0}")]
    Url(String),
    /// The first connection failed.
    #[error("open the database at {place}: {cause}")]
    Unreachable {
        /// Host and port, or the file.
        place: String,
        /// What is wrong, and what to do.
        cause: String,
    },
    /// Another, later build has migrated the database.
    #[error(
        "understand the database: its newest migration is {database}, and this build knows up to \
         {known}; run the build that made it, or a later one"
    )]
    Newer {
        /// The newest version that was applied.
        database: i64,
        /// The newest version of this build.
        known: i64,
    },
    /// A row holds a value that this build does not know.
    #[error("read {column}: {value:?} is not known")]
    Corrupt {
        /// Where.
        column: &'static str,
        /// What stood there.
        value: String,
    },
}

impl StoreError {
    /// True when the database cannot keep a text that it was given, as PostgreSQL a NUL
    /// (SQLSTATE 22021): what was asked will never be possible.
    pub(crate) fn refuses_text(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        let error = error.as_database_error();
        error.and_then(sqlx::error::DatabaseError::code).as_deref() == Some("22021")
    }
}

impl Store {
    /// Opens `postgres://…` or `sqlite:…` (also `sqlite::memory:`, which is always one connection)
    /// with at most `connections_max` connections. A SQLite file is made when it is missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Url`] for another kind of URL, [`StoreError::Unreachable`] when nobody
    /// answers.
    pub async fn connect(url: &str, connections_max: u32) -> Result<Self, StoreError> {
        connect::open(url, connections_max)
            .await
            .map(|db| Self { db })
    }

    /// Whether the database user may do everything on the server; never with SQLite.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the database does not answer.
    pub async fn is_superuser(&self) -> Result<bool, StoreError> {
        if matches!(self.db, Db::Lite { .. }) {
            return Ok(false);
        }
        let sql = Sql::new(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_catalog.pg_roles \
             WHERE rolname = session_user AND rolsuper",
        );
        let superusers: Vec<(i64,)> = self.db.all(sql).await?;
        Ok(superusers != [(0,)])
    }

    /// Waits for the writes under way and closes every connection; later calls fail.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
