//! Tests of the lobby through the real router.

mod events;
mod idempotency;
mod join;
mod leave_and_end;
mod lobby;
mod private_sessions;
mod spectators;
