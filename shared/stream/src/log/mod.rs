//! The match log: one match as an append-only file that can be played back, checked and cut off
//! anywhere. `docs/match-log.md` describes every byte.
//!
//! A log is a run of blocks. A block's header is not compressed, so that a reader hops from block
//! to block and finds a key frame without unpacking anything. The payload is a run of records.
//!
//! It knows no files and no clock: records go in and bytes come out, and the other way round.
//! Bytes that are read are believed in nothing: they may be torn, flipped or made up.
//!
//! Reading order: [`record`], [`block`], [`writer`], [`reader`], [`summary`], [`error`].

pub mod block;
pub mod error;
pub mod reader;
pub mod record;
pub mod summary;
#[cfg(test)]
mod tests;
mod wire;
pub mod writer;

pub use block::{BLOCK_HEADER_BYTES, BlockHeader, RawBlock};
pub use error::{Damage, DamageKind, EncodeError, LogError, RecordError};
pub use reader::{BlockEntry, Item, LogReader, Playback};
pub use record::{Footer, LogHeader, Record, SeatChange, SnapshotKind, TickRecord};
pub use summary::{LogEnd, LogSummary};
pub use writer::{BlockEncoder, LogWriter, TickEntry};

/// What a log begins with: a name and the version of the format.
pub const MAGIC: [u8; 8] = *b"GSLOG\0\0\x01";
/// Version of the format, the last two bytes of [`MAGIC`].
pub const FORMAT_VERSION: u16 = 1;
/// A block is ended before a record when it has so many bytes, unpacked.
pub const BLOCK_BYTES_TARGET: usize = 64 * 1024;
/// Largest block, unpacked: a reader never unpacks more. One record more than the target.
pub const BLOCK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest key frame, snapshot or event.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a block may refer back to: the last bytes, unpacked, since the last block that stands
/// alone. More would cost both sides time and save little.
pub const DICTIONARY_BYTES_MAX: usize = 64 * 1024;
/// Most kinds of state that a log may keep hashes of.
pub const COMPONENTS_MAX: usize = 256;
/// Damaged places that a reader looks past; what follows the last one counts as lost.
pub const DAMAGES_MAX: usize = 64;
