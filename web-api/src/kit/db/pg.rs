//! The pool of connections to PostgreSQL, and which of them are not used again.
//!
//! After a failover a pooled connection still leads to the old server, which answers reads and
//! refuses writes. So an answer that says as much ends its connection, and every connection that
//! was opened before it. It knows no statement of the store's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, Postgres};

use crate::kit::db::DbError;
use crate::kit::db::fault::{Consequence, consequence};
use crate::kit::fault::Fault;

/// Longest life of a connection, so that a load balancer in front of the database, a changed
/// address or a server that leaks memory for each session are noticed without an error.
const LIFETIME_MAX: Duration = Duration::from_mins(10);

/// A connection that was idle for so long is asked whether it lives before it is used. One that was
/// in use a moment ago is not: the question would double the round trips of a busy service.
const IDLE_UNTESTED_MAX: Duration = Duration::from_secs(1);

/// How long a connection may take to say that it lives.
const TEST_DEADLINE: Duration = Duration::from_millis(200);

/// Shortest time between two rounds of replacing all connections: a database that stays read-only
/// must not be answered with a storm of new connections.
const REPLACE_ALL_SPACING: Duration = Duration::from_secs(1);

/// A pool whose connections end when they lead to the wrong server.
#[derive(Debug, Clone)]
pub(crate) struct Pg {
    pool: PgPool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Connections that were opened before are not used any more.
    replaced_at: Option<Instant>,
    /// A statement found no room on the disk, and none has shown since that there is some.
    is_space_in_doubt: bool,
    /// When the disk was last seen to have room.
    space_seen_at: Option<Instant>,
}

/// A connection of the pool. It is closed when it is dropped, unless it was given back.
#[derive(Debug)]
pub(crate) struct PgLease {
    pub(crate) connection: PoolConnection<Postgres>,
    is_given_back: bool,
    pg: Pg,
}

impl Pg {
    /// Opens the first connection. `settings` are statements that every connection begins with.
    pub(crate) async fn open(
        options: PgConnectOptions,
        connections_max: u32,
        acquire_timeout: Duration,
        settings: &'static str,
    ) -> Result<Self, sqlx::Error> {
        let state: Arc<Mutex<State>> = Arc::default();
        let seen = Arc::clone(&state);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(acquire_timeout)
            .max_lifetime(LIFETIME_MAX)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                Box::pin(async move { connection.execute(settings).await.map(drop) })
            })
            .before_acquire(move |connection, metadata| {
                let is_replaced = lock(&seen).is_replaced(&metadata);
                Box::pin(async move { Ok(!is_replaced && test(connection, &metadata).await) })
            })
            .connect_with(options)
            .await?;
        Ok(Self { pool, state })
    }

    /// The pool, for whoever opens connections of their own.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Waits for a connection.
    pub(crate) async fn acquire(&self) -> Result<PgLease, DbError> {
        let connection = self.pool.acquire().await.map_err(DbError::Database)?;
        Ok(PgLease {
            connection,
            is_given_back: false,
            pg: self.clone(),
        })
    }

    /// True when the disk is to be tried: a statement found it full, or it was not tried for
    /// `interval`.
    pub(crate) fn must_try_space(&self, interval: Duration) -> bool {
        let state = lock(&self.state);
        let is_recent = state
            .space_seen_at
            .is_some_and(|at| at.elapsed() < interval);
        state.is_space_in_doubt || !is_recent
    }

    /// Notes that there is room on the disk.
    pub(crate) fn note_space(&self) {
        let mut state = lock(&self.state);
        state.is_space_in_doubt = false;
        state.space_seen_at = Some(Instant::now());
    }

    /// What an error means for the connection that it came on.
    fn note(&self, error: &DbError) -> Consequence {
        if error.fault() == Some(Fault::Full) {
            lock(&self.state).is_space_in_doubt = true;
        }
        let consequence = consequence(error);
        if consequence == Consequence::CloseAll {
            lock(&self.state).replace_all(error);
        }
        consequence
    }
}

impl State {
    fn replace_all(&mut self, error: &DbError) {
        let is_recent = |at: Instant| at.elapsed() < REPLACE_ALL_SPACING;
        if self.replaced_at.is_some_and(is_recent) {
            return;
        }
        self.replaced_at = Some(Instant::now());
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the database may have moved; all connections to it are opened again"
        );
    }

    fn is_replaced(&self, metadata: &PoolConnectionMetadata) -> bool {
        self.replaced_at
            .is_some_and(|replaced_at| metadata.age > replaced_at.elapsed())
    }
}

impl PgLease {
    /// Runs a statement without values.
    pub(crate) async fn run(&mut self, statement: &'static str) -> Result<(), DbError> {
        sqlx::raw_sql(statement)
            .execute(&mut *self.connection)
            .await
            .map(drop)
            .map_err(DbError::Database)
    }

    /// True when the connection may be used again after this error.
    pub(crate) fn is_good_after(&self, error: &DbError) -> bool {
        self.pg.note(error) == Consequence::Keep
    }

    /// Says that the connection is outside of any transaction, and what its last statement came to:
    /// the pool gets it back unless that speaks against it. True when the connection was lost or
    /// led to the wrong server.
    pub(crate) fn give_back<T>(&mut self, outcome: &Result<T, DbError>) -> bool {
        let consequence = match outcome {
            Ok(_) => Consequence::Keep,
            Err(error) => self.pg.note(error),
        };
        self.is_given_back = consequence == Consequence::Keep;
        consequence == Consequence::CloseAll
    }
}

impl Drop for PgLease {
    fn drop(&mut self) {
        if !self.is_given_back {
            self.connection.close_on_drop();
        }
    }
}

/// False when an idle connection does not answer any more.
async fn test(connection: &mut PgConnection, metadata: &PoolConnectionMetadata) -> bool {
    if metadata.idle_for < IDLE_UNTESTED_MAX {
        return true;
    }
    let answer = tokio::time::timeout(TEST_DEADLINE, connection.ping()).await;
    matches!(answer, Ok(Ok(())))
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
