//! The durable store: PostgreSQL or SQLite behind one handle.
//!
//! It knows no capability's table. "Not found" is `None`. Each statement has one text for both
//! databases. Every operation has one deadline, and a write that has begun goes on when its caller
//! goes away.

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

use chrono::{DateTime, Utc};

use crate::kit::db::backend::Backend;
use crate::kit::db::sql::Sql;

/// Handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Db(pub(crate) Backend);

/// Why the database could not answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
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

impl DbError {
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

impl Db {
    /// Opens `postgres://…` or `sqlite:…` (also `sqlite::memory:`, which is always one connection)
    /// with at most `connections_max` connections. A SQLite file is made when it is missing.
    ///
    /// # Errors
    ///
    /// [`DbError::Url`] for another kind of URL, [`DbError::Unreachable`] when nobody
    /// answers.
    pub async fn connect(url: &str, connections_max: u32) -> Result<Self, DbError> {
        connect::open(url, connections_max).await
    }

    /// Whether the database user may do everything on the server; never with SQLite.
    ///
    /// # Errors
    ///
    /// [`DbError::Database`] when the database does not answer.
    pub async fn is_superuser(&self) -> Result<bool, DbError> {
        if matches!(self.0, Backend::Lite { .. }) {
            return Ok(false);
        }
        let sql = Sql::new(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_catalog.pg_roles \
             WHERE rolname = session_user AND rolsuper",
        );
        let superusers: Vec<(i64,)> = self.all(sql).await?;
        Ok(superusers != [(0,)])
    }

    /// Deletes the rows that have ended by `now`, which is `$1`; returns how many.
    pub(crate) async fn sweep(
        &self,
        expired: &'static str,
        now: DateTime<Utc>,
    ) -> Result<u64, DbError> {
        let delete = Sql::new(expired).bind(now);
        self.background_transaction(move |tx| Box::pin(async move { tx.execute(delete).await }))
            .await
    }
}
