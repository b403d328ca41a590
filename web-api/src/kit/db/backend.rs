//! Operations on PostgreSQL or SQLite: reads, single writes and transactions, each within one
//! deadline, and each run to its end when its request is gone. It knows no table.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite, SqlitePool, Transaction};
use tracing::Instrument as _;

use crate::kit::db::pg::{Pg, PgLease};
use crate::kit::db::sql::{Row, Sql};
use crate::kit::db::{Db, DbError};

/// How often a read, or the begin of a transaction, is tried: a second time on a new connection,
/// because the first one may have ended while it was idle.
const ATTEMPTS_MAX: u32 = 2;

/// Who waits for an operation, and so how long it may take: for a connection, for locks and for
/// all of its statements together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A client's request.
    Request,
    /// Work that nobody waits for at a screen, and that may touch thousands of rows.
    Background,
}

impl Patience {
    fn deadline(self, db: &Db) -> Duration {
        match (self, &db.0) {
            (Self::Request, Backend::Pg(_)) => Duration::from_secs(1),
            // The one writer of SQLite is waited for in turn, behind writes that sync to the disk.
            (Self::Request, Backend::Lite { .. }) => Duration::from_secs(5),
            (Self::Background, _) => Duration::from_secs(10),
        }
    }

    /// Begins a transaction in one round trip. The session's own time limits are those of a
    /// request; see `connect`.
    fn begin(self) -> &'static str {
        match self {
            Self::Request => "BEGIN",
            Self::Background => {
                "BEGIN; SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '2s'"
            }
        }
    }
}

/// One of the two databases.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// PostgreSQL.
    Pg(Pg),
    /// SQLite has one writer at a time: a pool of one connection lets writers queue in order
    /// instead of polling the file's lock. In memory, `readers` is that very pool.
    Lite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
}

/// An open transaction that may write.
pub(crate) enum Tx {
    /// PostgreSQL, read committed; rows are locked one by one. A lease that is dropped before the
    /// end of its transaction closes its connection.
    Pg(PgLease),
    /// SQLite after `BEGIN IMMEDIATE`, so that nobody else writes.
    Lite(Transaction<'static, Sqlite>),
}

/// The work of one transaction.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, DbError>> + Send + 'a>>;

macro_rules! fetch_all {
    ($db:ty, $sql:expr, $executor:expr) => {{
        let (text, arguments, persistent) = $sql.for_driver::<$db>()?;
        sqlx::query_as_with::<$db, _, _>(text, arguments)
            .persistent(persistent)
            .fetch_all($executor)
            .await
            .map_err(DbError::Database)
    }};
}

macro_rules! execute {
    ($db:ty, $sql:expr, $executor:expr) => {{
        let (text, arguments, persistent) = $sql.for_driver::<$db>()?;
        sqlx::query_with::<$db, _>(text, arguments)
            .persistent(persistent)
            .execute($executor)
            .await
            .map(|done| done.rows_affected())
            .map_err(DbError::Database)
    }};
}

impl Db {
    /// Reads rows outside of any transaction.
    pub(crate) async fn all<T: Row + 'static>(&self, sql: Sql) -> Result<Vec<T>, DbError> {
        let db = self.clone();
        self.within(
            Patience::Request,
            Box::pin(async move {
                match &db.0 {
                    Backend::Pg(pg) => read_postgres(pg, sql).await,
                    Backend::Lite { readers, .. } => fetch_all!(Sqlite, sql, readers),
                }
            }),
        )
        .await
    }

    /// Reads the row of that name, if there is one.
    pub(crate) async fn optional<T: Row + 'static>(&self, sql: Sql) -> Result<Option<T>, DbError> {
        Ok(self.all(sql).await?.into_iter().next())
    }

    /// Runs one writing statement to its end, also when the caller goes away; returns how many
    /// rows it touched.
    pub(crate) async fn execute(&self, sql: Sql) -> Result<u64, DbError> {
        let db = self.clone();
        self.within(
            Patience::Request,
            Box::pin(async move {
                match &db.0 {
                    Backend::Pg(pg) => {
                        let mut lease = pg.acquire().await?;
                        let outcome = execute_on(&mut lease.connection, sql).await;
                        lease.give_back(&outcome);
                        outcome
                    }
                    Backend::Lite { writer, .. } => execute!(Sqlite, sql, writer),
                }
            }),
        )
        .await
    }

    /// Runs one writing statement with `RETURNING` to its end, also when the caller goes away. It
    /// is never repeated, because the first try may have been done.
    pub(crate) async fn write<T: Row + 'static>(&self, sql: Sql) -> Result<Option<T>, DbError> {
        let db = self.clone();
        let rows = self.within(
            Patience::Request,
            Box::pin(async move {
                match &db.0 {
                    Backend::Pg(pg) => {
                        let mut lease = pg.acquire().await?;
                        let outcome = fetch_on(&mut lease.connection, sql).await;
                        lease.give_back(&outcome);
                        outcome
                    }
                    Backend::Lite { writer, .. } => fetch_all!(Sqlite, sql, writer),
                }
            }),
        );
        Ok(rows.await?.into_iter().next())
    }

    /// True when each statement waits for an answer from the network.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.0, Backend::Pg(_))
    }

    /// Runs `work` in one transaction to its end, also when the caller goes away. An error rolls
    /// everything back.
    pub(crate) async fn transaction<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> Work<'a, T> + Send + 'static,
    {
        self.transact(Patience::Request, work).await
    }

    /// Like [`Db::transaction`], for work that no client waits for.
    pub(crate) async fn background_transaction<T, F>(&self, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> Work<'a, T> + Send + 'static,
    {
        self.transact(Patience::Background, work).await
    }

    async fn transact<T, F>(&self, patience: Patience, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> Work<'a, T> + Send + 'static,
    {
        let db = self.clone();
        self.within(
            patience,
            Box::pin(async move {
                let mut tx = db.begin(patience).await?;
                match work(&mut tx).await {
                    Ok(value) => tx.commit().await.map(|()| value),
                    Err(error) => {
                        tx.rollback_after(&error).await;
                        Err(error)
                    }
                }
            }),
        )
        .await
    }

    /// Waits for the writes under way and closes every connection; later calls fail.
    pub async fn close(&self) {
        match &self.0 {
            Backend::Pg(pg) => pg.pool().close().await,
            Backend::Lite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    pub(crate) async fn begin(&self, patience: Patience) -> Result<Tx, DbError> {
        match &self.0 {
            Backend::Pg(pg) => begin_postgres(pg, patience.begin()).await,
            Backend::Lite { writer, .. } => writer
                .begin_with("BEGIN IMMEDIATE")
                .await
                .map(Tx::Lite)
                .map_err(DbError::Database),
        }
    }

    /// Runs an operation in a task of its own until its deadline. A client that hangs up drops its
    /// request's future; work that half wrote something must not stop there. Only the deadline cuts
    /// an operation off, and its connection is closed then. It comes in a box, because it would
    /// otherwise be part of the future of every request.
    async fn within<T: Send + 'static>(
        &self,
        patience: Patience,
        operation: Pin<Box<dyn Future<Output = Result<T, DbError>> + Send>>,
    ) -> Result<T, DbError> {
        let deadline = patience.deadline(self);
        uncancelled(async move {
            tokio::time::timeout(deadline, operation)
                .await
                .unwrap_or(Err(DbError::Deadline(deadline)))
        })
        .await
    }
}

/// Reads on a connection of the pool, and once more on a new one when that connection was lost.
async fn read_postgres<T: Row>(pg: &Pg, sql: Sql) -> Result<Vec<T>, DbError> {
    let mut attempt = 1;
    loop {
        let mut lease = pg.acquire().await?;
        let outcome = fetch_on(&mut lease.connection, sql.clone()).await;
        let was_lost = lease.give_back(&outcome);
        if !was_lost || attempt == ATTEMPTS_MAX {
            return outcome;
        }
        attempt += 1;
    }
}

/// Nothing has been done yet when a begin fails, so it can be repeated.
async fn begin_postgres(pg: &Pg, begin: &'static str) -> Result<Tx, DbError> {
    let mut attempt = 1;
    loop {
        let mut lease = pg.acquire().await?;
        let outcome = lease.run(begin).await;
        if outcome.is_ok() {
            return Ok(Tx::Pg(lease));
        }
        let was_lost = lease.give_back(&outcome);
        if !was_lost || attempt == ATTEMPTS_MAX {
            return outcome.map(|()| Tx::Pg(lease));
        }
        attempt += 1;
    }
}

async fn fetch_on<T: Row>(
    connection: &mut PoolConnection<Postgres>,
    sql: Sql,
) -> Result<Vec<T>, DbError> {
    fetch_all!(Postgres, sql, &mut **connection)
}

async fn execute_on(connection: &mut PoolConnection<Postgres>, sql: Sql) -> Result<u64, DbError> {
    execute!(Postgres, sql, &mut **connection)
}

impl Tx {
    /// Reads rows, or writes with `RETURNING`.
    pub(crate) async fn all<T: Row>(&mut self, sql: Sql) -> Result<Vec<T>, DbError> {
        match self {
            Self::Pg(lease) => fetch_on(&mut lease.connection, sql).await,
            Self::Lite(tx) => fetch_all!(Sqlite, sql, &mut **tx),
        }
    }

    /// Like [`Tx::all`] where there is at most one row. It reads to the end, because SQLite
    /// finishes a write with `RETURNING` only then.
    pub(crate) async fn optional<T: Row>(&mut self, sql: Sql) -> Result<Option<T>, DbError> {
        Ok(self.all(sql).await?.into_iter().next())
    }

    /// Runs a writing statement; returns how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: Sql) -> Result<u64, DbError> {
        match self {
            Self::Pg(lease) => execute_on(&mut lease.connection, sql).await,
            Self::Lite(tx) => execute!(Sqlite, sql, &mut **tx),
        }
    }

    /// Runs writing statements one after the other.
    pub(crate) async fn execute_each(&mut self, statements: Vec<Sql>) -> Result<(), DbError> {
        for sql in statements {
            self.execute(sql).await?;
        }
        Ok(())
    }

    async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Pg(mut lease) => {
                let outcome = lease.run("COMMIT").await;
                lease.give_back(&outcome);
                outcome
            }
            Self::Lite(tx) => tx.commit().await.map_err(DbError::Database),
        }
    }

    /// The first error tells more than a failed rollback, and a connection that cannot roll back
    /// is not used again.
    async fn rollback_after(self, error: &DbError) {
        match self {
            Self::Pg(mut lease) => {
                if lease.is_good_after(error) {
                    let outcome = lease.run("ROLLBACK").await;
                    lease.give_back(&outcome);
                }
            }
            Self::Lite(tx) => {
                let _ = tx.rollback().await;
            }
        }
    }
}

/// Runs `work` in a task of its own, which nobody who waits for it can cancel.
async fn uncancelled<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbError>> + Send + 'static,
) -> Result<T, DbError> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels the task.
            Err(_) => Err(DbError::Database(sqlx::Error::WorkerCrashed)),
        },
    }
}
