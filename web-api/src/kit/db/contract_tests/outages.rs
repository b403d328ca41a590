//! What becomes of connections, requests and readiness when PostgreSQL fails over, restarts, or
//! is locked. Real servers only.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::kit::db::DbError;
use crate::kit::db::sql::Sql;
use crate::kit::fault::Fault;
use crate::tests::subject::{Stores, Subject, at, new_guest};

/// Connections of the store under test.
const CONNECTIONS: u32 = 4;

async fn with_postgres<F: Future<Output = ()> + Send + 'static>(case: impl FnOnce(Subject) -> F) {
    if let Some(subject) = Subject::postgres().await {
        subject.run(case).await;
    }
}

/// A store all of whose connections are open.
async fn busy_store(subject: &Subject) -> Stores {
    let store = Stores::connect(subject.url.as_ref().unwrap(), CONNECTIONS)
        .await
        .unwrap();
    let nap = || Sql::new("SELECT CAST(1 AS BIGINT) FROM pg_sleep(0.2)");
    let naps = (0..CONNECTIONS).map(|_| store.db.all::<(i64,)>(nap()));
    for nap in join_all(naps).await {
        nap.unwrap();
    }
    store
}

async fn administer(subject: &Subject, statement: String) {
    let mut connection = PgConnection::connect(subject.url.as_ref().unwrap())
        .await
        .unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}

fn database_name(subject: &Subject) -> String {
    let url = subject.url.as_ref().unwrap();
    let name = url.rsplit('/').next().unwrap();
    name.split('?').next().unwrap().to_owned()
}

fn fault<T>(outcome: Result<T, DbError>) -> Option<Fault> {
    outcome.err().map(|error| error.fault().unwrap())
}

/// The setting of the database counts for sessions that begin later: those of the store stay
/// read-only, new ones are not, as after a failover behind one name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_server_that_became_read_only_are_replaced() {
    with_postgres(async |subject| {
        let name = database_name(&subject);
        let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
        administer(&subject, read_only).await;
        let store = busy_store(&subject).await;
        let reset = format!(
            "BEGIN READ WRITE; \
             ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT"
        );
        administer(&subject, reset).await;
        assert_eq!(fault(store.check_write(at(0)).await), Some(Fault::ReadOnly));
        let writes = (0..2 * CONNECTIONS).map(|_| store.accounts.create_guest(new_guest(), None));
        for write in join_all(writes).await {
            write.unwrap();
        }
        store.check_write(at(0)).await.unwrap();
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_the_server_ended_idle_connections() {
    with_postgres(async |subject| {
        let store = busy_store(&subject).await;
        // Comes back once they have ended.
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        administer(&subject, end.to_owned()).await;
        let guest = new_guest();
        store
            .accounts
            .create_guest(guest.clone(), None)
            .await
            .unwrap();
        administer(&subject, end.to_owned()).await;
        assert!(store.accounts.player(guest.player).await.unwrap().is_some());
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_meet_a_locked_table_are_answered_within_a_second() {
    with_postgres(async |subject| {
        let store = busy_store(&subject).await;
        let mut locker = PgConnection::connect(subject.url.as_ref().unwrap())
            .await
            .unwrap();
        let lock = "BEGIN; LOCK TABLE players IN ACCESS EXCLUSIVE MODE";
        locker.execute(lock).await.unwrap();
        // Three for each connection: some wait for a connection, some for the lock.
        let writes = (0..3 * CONNECTIONS).map(|_| async {
            let begin = Instant::now();
            let outcome = store.accounts.create_guest(new_guest(), None).await;
            (fault(outcome), begin.elapsed())
        });
        for (fault, waited) in join_all(writes).await {
            assert!(
                matches!(fault, Some(Fault::Locked | Fault::Slow)),
                "{fault:?}"
            );
            assert!(waited < Duration::from_millis(1_300), "{waited:?}");
        }
        // Another table is not locked, and readiness says so.
        store.check_write(at(0)).await.unwrap();
        locker.execute("ROLLBACK").await.unwrap();
        store
            .accounts
            .create_guest(new_guest(), None)
            .await
            .unwrap();
        store.close().await;
    })
    .await;
}
