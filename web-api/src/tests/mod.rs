//! Tests of the whole service: real router, SQLite in memory, a clock that tests move, and
//! instances that are real gRPC servers on loopback.

mod auth;
mod cable;
mod connections;
mod console;
mod docs;
mod event_stream;
mod events;
mod idempotency;
mod instance;
mod join;
mod leave_and_end;
mod lobby;
mod me;
mod openapi;
mod outages;
mod private_sessions;
mod redis_process;
mod replays;
mod requests;
mod results;
mod round_trips;
mod running;
mod spectators;
mod texts;
mod world;

pub(crate) use instance::arena_descriptor;
