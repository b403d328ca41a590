//! How connections are opened: limits, time-outs and the settings that durability rests on.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::StoreError;
use super::db::Db;

/// How long a request waits for a free connection before it is told that the database is busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long SQLite waits for another process that writes, and a writer for those before it.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// PostgreSQL's own limits for a connection, so that one stuck client cannot hold rows for ever.
/// The last one hides the warning that a ROLLBACK without a transaction gives on every release.
const POSTGRES_SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("client_min_messages", "error"),
];

/// Opens the database that the URL names.
pub(super) async fn open(url: &str, connections_max: u32) -> Result<Db, StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let options = PgConnectOptions::from_str(url).map_err(|error| unusable(&error))?;
        open_postgres(options, connections_max)
            .await
            .map(Db::Pg)
            .map_err(StoreError::Database)
    } else if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url).map_err(|error| unusable(&error))?;
        let open = if url.contains(":memory:") || url.contains("mode=memory") {
            open_sqlite_in_memory(options).await
        } else {
            open_sqlite_file(options, connections_max).await
        };
        open.map_err(StoreError::Database)
    } else {
        Err(StoreError::Url(
            "it begins with neither postgres:// nor sqlite:".to_owned(),
        ))
    }
}

/// The URL itself is not told: it may hold a password.
fn unusable(error: &sqlx::Error) -> StoreError {
    StoreError::Url(error.to_string())
}

async fn open_postgres(options: PgConnectOptions, max: u32) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A `begin` that is dropped half-way leaves the connection inside a transaction which
        // would swallow the next request's auto-committed write (transact-rs/sqlx #4385).
        .after_release(|connection, _| {
            Box::pin(async move { connection.execute("ROLLBACK").await.map(|_| true) })
        })
        .connect_with(options.options(POSTGRES_SETTINGS))
        .await
}

async fn open_sqlite_file(options: SqliteConnectOptions, max: u32) -> Result<Db, sqlx::Error> {
    let options = sqlite_settings(options).create_if_missing(true);
    let writer = sqlite_pool(1).connect_with(options.clone()).await?;
    let readers = sqlite_pool(max).connect_with(options).await?;
    Ok(Db::Lite { writer, readers })
}

/// An in-memory database lives as long as its one connection, which therefore never retires.
async fn open_sqlite_in_memory(options: SqliteConnectOptions) -> Result<Db, sqlx::Error> {
    let pool = sqlite_pool(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(sqlite_settings(options))
        .await?;
    Ok(Db::Lite {
        writer: pool.clone(),
        readers: pool,
    })
}

fn sqlite_pool(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(SQLITE_BUSY_TIMEOUT)
}

/// `FULL`, because what was acknowledged must survive a power cut; `NORMAL` would lose the last
/// commits of the write-ahead log.
fn sqlite_settings(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .foreign_keys(true)
}
