//! Tests of the whole service: real router, SQLite in memory, a clock that tests move, and
//! instances that are real gRPC servers on loopback.

pub(crate) mod cable;
mod connections;
mod console;
mod docs;
mod edges;
pub(crate) mod event_stream;
pub(crate) mod instance;
mod openapi;
mod outages;
pub(crate) mod redis_process;
mod requests;
mod round_trips;
mod running;
pub(crate) mod subject;
mod texts;
pub(crate) mod world;

pub(crate) use instance::arena_descriptor;

/// Makes one test per case and adapter, named like `a_seat_is_never_given_twice::postgres`.
macro_rules! for_each_database {
    ($($case:ident)*) => {$(
        mod $case {
            use crate::tests::subject::Subject;

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
pub(crate) use for_each_database;
