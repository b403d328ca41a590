//! What every database promises, run for SQLite in a file and in memory and, where a server is
//! given, for PostgreSQL.

mod durability;
mod full_disk;
mod idempotency;
mod migrations;
mod outages;
mod pooler;
mod privileges;
