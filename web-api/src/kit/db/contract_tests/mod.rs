//! What every database promises, run for SQLite in a file and in memory and, where a server is
//! given, for PostgreSQL.

mod durability;
mod full_disk;
mod idempotency;
mod logins;
mod migrations;
mod openings;
mod outages;
mod players;
mod pooler;
mod privileges;
mod reports;
mod results;
mod seats;
mod sessions;

pub(crate) mod subject;

use crate::kit::db::contract_tests::subject::Subject;

/// Makes one test per case and adapter, named like `a_seat_is_never_given_twice::postgres`.
macro_rules! for_each_database {
    ($($case:ident)*) => {$(
        mod $case {
            use crate::kit::db::contract_tests::Subject;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(subject) = Subject::postgres().await {
                    subject.run(super::$case).await;
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_file() {
                Subject::sqlite_file().await.run(super::$case).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_memory() {
                Subject::sqlite_memory().await.run(super::$case).await;
            }
        }
    )*};
}
use for_each_database;
