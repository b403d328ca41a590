//! Records matches: what each tick got and what came of it, for replays and for evidence.
//!
//! A match hands its ticks to its [`MatchRecorder`]; one thread of the instance compresses them
//! and appends them to a file for each match. A tick never waits for that thread: when it falls
//! behind, ticks are missing from the log, and the log says which.
//!
//! What the bytes mean is in `docs/match-log.md` and in the crate `gameserver-stream`.
//!
//! Reading order: [`recorder`], [`inputs`], [`sink`], [`folder`], [`owner`].

pub mod folder;
pub mod inputs;
pub mod owner;
pub mod recorder;
pub mod sink;
#[cfg(test)]
mod tests;

pub use folder::LogFolder;
pub use gameserver_stream::log::LogHeader;
pub use owner::{ClaimError, FolderClaim};
pub use recorder::{MatchRecorder, RecordPlugin, RecordSystems, begin, finish, record_frames};
pub use sink::{LogSink, LogWriters};
