//! The snapshot stream as bytes: one encoding of a match's state for players, browsers,
//! spectators and replays.
//!
//! It knows no Bevy, no sockets, no files and no clock: the simulation hands it numbers, it hands
//! back frames. `docs/protocol.md` describes every byte.
//!
//! Reading order: [`schema`] (what a game shows), [`snapshot_buffer`] (the state, snapshot by
//! snapshot), [`record`] (one entity, encoded once), [`viewer`] (one player's share), [`broadcast`]
//! (one view for many watchers), [`frame`] (everything else that is said), [`reader`] (the client's
//! end), [`log`] (a whole match in a file).

pub mod broadcast;
mod entities;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod group;
mod history;
pub mod log;
pub mod reader;
pub mod record;
pub mod schema;
pub mod snapshot_buffer;
pub mod viewer;
mod wire;

pub use wire::WireError;

#[cfg(test)]
mod tests;
