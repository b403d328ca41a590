//! Connections to PostgreSQL or SQLite: reads, single writes and transactions, and that a write
//! goes on when its request is gone. It knows no table.

use std::future::Future;
use std::pin::Pin;

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use tracing::Instrument as _;

use super::StoreError;
use super::sql::{Row, Sql};

/// One of the two databases.
#[derive(Debug, Clone)]
pub(super) enum Db {
    /// PostgreSQL.
    Pg(PgPool),
    /// SQLite has one writer at a time: a pool of one connection lets writers queue in order
    /// instead of polling the file's lock. In memory, `readers` is that very pool.
    Lite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
}

/// An open transaction that may write.
pub(super) enum Tx {
    /// PostgreSQL, read committed; rows are locked one by one.
    Pg(Transaction<'static, Postgres>),
    /// SQLite after `BEGIN IMMEDIATE`, so that nobody else writes.
    Lite(Transaction<'static, Sqlite>),
}

/// The work of one transaction.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

macro_rules! fetch_all {
    ($db:ty, $sql:expr, $executor:expr) => {{
        let (text, arguments, persistent) = $sql.for_driver::<$db>()?;
        sqlx::query_as_with::<$db, _, _>(text, arguments)
            .persistent(persistent)
            .fetch_all($executor)
            .await
            .map_err(StoreError::Database)
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
            .map_err(StoreError::Database)
    }};
}

impl Db {
    /// Reads rows outside of any transaction.
    pub(super) async fn all<T: Row>(&self, sql: Sql) -> Result<Vec<T>, StoreError> {
        match self {
            Self::Pg(pool) => fetch_all!(Postgres, sql, pool),
            Self::Lite { readers, .. } => fetch_all!(Sqlite, sql, readers),
        }
    }

    /// Reads the row of that name, if there is one.
    pub(super) async fn optional<T: Row>(&self, sql: Sql) -> Result<Option<T>, StoreError> {
        Ok(self.all(sql).await?.into_iter().next())
    }

    /// Runs one writing statement to its end, also when the caller goes away; returns how many
    /// rows it touched.
    pub(super) async fn execute(&self, sql: Sql) -> Result<u64, StoreError> {
        let db = self.clone();
        uncancelled(async move {
            match &db {
                Self::Pg(pool) => execute!(Postgres, sql, pool),
                Self::Lite { writer, .. } => execute!(Sqlite, sql, writer),
            }
        })
        .await
    }

    /// Runs `work` in one transaction to its end, also when the caller goes away. An error rolls
    /// everything back.
    pub(super) async fn transaction<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> Work<'a, T> + Send + 'static,
    {
        let db = self.clone();
        uncancelled(async move {
            let mut tx = db.begin().await?;
            match work(&mut tx).await {
                Ok(value) => tx.commit().await.map(|()| value),
                Err(error) => {
                    // The first error tells more than a failed rollback, and a connection that
                    // cannot roll back is not used again.
                    let _ = tx.rollback().await;
                    Err(error)
                }
            }
        })
        .await
    }

    /// Waits until every connection is given back, then closes them.
    pub(super) async fn close(&self) {
        match self {
            Self::Pg(pool) => pool.close().await,
            Self::Lite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    async fn begin(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Pg(pool) => pool.begin().await.map(Tx::Pg),
            Self::Lite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Tx::Lite),
        }
        .map_err(StoreError::Database)
    }
}

impl Tx {
    /// Reads rows, or writes with `RETURNING`.
    pub(super) async fn all<T: Row>(&mut self, sql: Sql) -> Result<Vec<T>, StoreError> {
        match self {
            Self::Pg(tx) => fetch_all!(Postgres, sql, &mut **tx),
            Self::Lite(tx) => fetch_all!(Sqlite, sql, &mut **tx),
        }
    }

    /// Like [`Tx::all`] where there is at most one row. It reads to the end, because SQLite
    /// finishes a write with `RETURNING` only then.
    pub(super) async fn optional<T: Row>(&mut self, sql: Sql) -> Result<Option<T>, StoreError> {
        Ok(self.all(sql).await?.into_iter().next())
    }

    /// Runs a writing statement; returns how many rows it touched.
    pub(super) async fn execute(&mut self, sql: Sql) -> Result<u64, StoreError> {
        match self {
            Self::Pg(tx) => execute!(Postgres, sql, &mut **tx),
            Self::Lite(tx) => execute!(Sqlite, sql, &mut **tx),
        }
    }

    /// Runs writing statements one after the other.
    pub(super) async fn execute_each(&mut self, statements: Vec<Sql>) -> Result<(), StoreError> {
        for sql in statements {
            self.execute(sql).await?;
        }
        Ok(())
    }

    async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => tx.commit().await,
            Self::Lite(tx) => tx.commit().await,
        }
        .map_err(StoreError::Database)
    }

    async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => tx.rollback().await,
            Self::Lite(tx) => tx.rollback().await,
        }
        .map_err(StoreError::Database)
    }
}

/// Runs `work` in a task of its own. A client that hangs up drops its request's future; work that
/// half wrote something must not stop there.
pub(super) async fn uncancelled<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels the task.
            Err(_) => Err(StoreError::Database(sqlx::Error::WorkerCrashed)),
        },
    }
}
