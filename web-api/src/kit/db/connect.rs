//! How connections are opened: limits, time-outs and the settings that durability rests on.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::kit::db::backend::Backend;
use crate::kit::db::pg::Pg;
use crate::kit::db::{Db, DbError, reach};

/// The longest wait for a free connection. Every operation has a deadline of its own, which is
/// shorter for a request; see `db`.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long SQLite waits for another process that writes, and a writer for those before it.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// PostgreSQL's own limits for a connection, so that one stuck client cannot hold rows for ever.
/// The first two end a request's statement before its deadline of 1 s, so that the server has let
/// go of it when the client is answered. Work in the background has longer ones. They are set on
/// the open connection and not as it opens: poolers such as `PgBouncer` refuse the startup
/// parameter `options`.
const POSTGRES_SETTINGS: &str = "SET lock_timeout = '700ms'; SET statement_timeout = '900ms'; \
                                 SET idle_in_transaction_session_timeout = '5s'";

/// Opens the database that the URL names.
pub(crate) async fn open(url: &str, connections_max: u32) -> Result<Db, DbError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        reach::check_url(url)?;
        let options = PgConnectOptions::from_str(url).map_err(|error| unusable(&error))?;
        // Poolers refuse this parameter, too. PostgreSQL writes floats exactly without it.
        let options = options.extra_float_digits(None);
        reach::try_postgres(&options).await?;
        Pg::open(options, connections_max, ACQUIRE_TIMEOUT, POSTGRES_SETTINGS)
            .await
            .map(|pg| Db(Backend::Pg(pg)))
            .map_err(DbError::Database)
    } else if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url).map_err(|error| unusable(&error))?;
        let file = options.clone();
        let open = if url.contains(":memory:") || url.contains("mode=memory") {
            open_sqlite_in_memory(options).await
        } else {
            open_sqlite_file(options, connections_max).await
        };
        open.map_err(|error| reach::sqlite_unusable(&file, &error))
    } else {
        Err(DbError::Url(
            "it begins with neither postgres:// nor sqlite:".to_owned(),
        ))
    }
}

/// The URL itself is not told: it may hold a password.
fn unusable(error: &sqlx::Error) -> DbError {
    DbError::Url(error.to_string())
}

async fn open_sqlite_file(options: SqliteConnectOptions, max: u32) -> Result<Db, sqlx::Error> {
    let options = sqlite_settings(options).create_if_missing(true);
    let writer = sqlite_pool(1).connect_with(options.clone()).await?;
    let readers = sqlite_pool(max).connect_with(options).await?;
    Ok(Db(Backend::Lite { writer, readers }))
}

/// An in-memory database lives as long as its one connection, which therefore never retires.
async fn open_sqlite_in_memory(options: SqliteConnectOptions) -> Result<Db, sqlx::Error> {
    let pool = sqlite_pool(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(sqlite_settings(options))
        .await?;
    Ok(Db(Backend::Lite {
        writer: pool.clone(),
        readers: pool,
    }))
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
