//! The snapshot stream as bytes: one encoding of a match's state for players, browsers,
//! spectators and replays.
//!
//! It knows no Bevy, no sockets, no files and no clock: the simulation hands it numbers, it hands
//! back frames. `docs/protocol.md` describes every byte.

pub mod log;
