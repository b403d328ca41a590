//! What can be wrong with a log.

/// Why bytes are not a log at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The first bytes are something else.
    #[error("read a match log: the file begins with something else")]
    NotALog,
    /// Written in another version of the format.
    #[error("read a match log of format version {0}")]
    UnknownVersion(u16),
    /// The first block is damaged, and without it the rest means nothing.
    #[error("read the header of the match log: {0}")]
    NoHeader(DamageKind),
}

/// A place in a log that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, {length} bytes from byte {offset}")]
pub struct Damage {
    /// Where it begins.
    pub offset: usize,
    /// How far it goes: to the next block that can be read, or to the end.
    pub length: usize,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The file ends inside a block.
    #[error("the file ends inside a block")]
    Torn,
    /// A block's header makes no sense.
    #[error("a block's header makes no sense")]
    Header,
    /// A block's checksum is wrong.
    #[error("a block's checksum is wrong")]
    Checksum,
    /// A block has the wrong number: one is missing, repeated or out of place.
    #[error("a block is missing or out of place")]
    Sequence,
    /// A payload cannot be unpacked, or not to the length that was promised.
    #[error("a block cannot be unpacked")]
    Compression,
    /// A block refers back to one that cannot be read.
    #[error("a block refers back to one that is lost")]
    Dependent,
    /// A record cannot be read.
    #[error("{0}")]
    Record(RecordError),
}

/// Why a record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Cut off, or of another type than stands here.
    #[error("a record is malformed")]
    Malformed,
    /// Of a kind that this version does not have.
    #[error("a record is of the unknown kind {0}")]
    UnknownKind(u64),
    /// A number or text is out of its range.
    #[error("a record's {0} is out of range")]
    OutOfRange(&'static str),
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The record is larger than [`super::RECORD_BYTES_MAX`].
    #[error("write a record of {0} bytes to the match log")]
    RecordTooLarge(usize),
    /// The block is larger than [`super::BLOCK_BYTES_MAX`].
    #[error("write a block of {0} bytes to the match log")]
    BlockTooLarge(usize),
    /// The compressor failed.
    #[error("compress a block of the match log")]
    Compression(#[source] std::io::Error),
}
