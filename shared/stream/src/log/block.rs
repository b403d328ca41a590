//! The frame around a run of records: lengths, ticks and a checksum, readable without unpacking.

use super::error::DamageKind;
use super::{BLOCK_BYTES_MAX, MAGIC};

/// What every block begins with, so that a reader finds the next one behind a damaged place.
pub const BLOCK_MARK: [u8; 4] = *b"GSbk";
/// Length of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 40;
/// Bytes of the header that the checksum covers: all before it.
const CHECKED_BYTES: usize = BLOCK_HEADER_BYTES - 8;
/// zstd makes what cannot be compressed a little longer.
const PACKED_BYTES_MAX: usize = BLOCK_BYTES_MAX + BLOCK_BYTES_MAX / 128 + 1_024;

/// The block can be unpacked without the blocks before it.
pub const STANDS_ALONE: u8 = 1;
/// The block begins with the whole state of the simulation.
pub const HAS_KEY_FRAME: u8 = 2;
/// The block has the footer, and is the last one.
pub const HAS_FOOTER: u8 = 4;
const FLAGS: u8 = STANDS_ALONE | HAS_KEY_FRAME | HAS_FOOTER;

/// What stands before a block's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Bytes of the payload in the file.
    pub packed_bytes: u32,
    /// Bytes of the payload, unpacked: at most [`BLOCK_BYTES_MAX`].
    pub raw_bytes: u32,
    /// The first tick that the block tells of.
    pub first_tick: u32,
    /// The last tick that the block tells of.
    pub last_tick: u32,
    /// Blocks before this one.
    pub number: u32,
    /// Any of [`STANDS_ALONE`], [`HAS_KEY_FRAME`] and [`HAS_FOOTER`].
    pub flags: u8,
}

/// Records that were not compressed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBlock {
    /// The first tick that it tells of.
    pub first_tick: u32,
    /// The last tick that it tells of.
    pub last_tick: u32,
    /// Any of [`STANDS_ALONE`], [`HAS_KEY_FRAME`] and [`HAS_FOOTER`].
    pub flags: u8,
    /// The records, one after the other.
    pub payload: Vec<u8>,
}

impl BlockHeader {
    /// True when the block has this flag.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Length of the block in the file.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        BLOCK_HEADER_BYTES + self.packed_bytes as usize
    }

    /// Header and checksum for this payload.
    pub(super) fn write(&self, packed: &[u8]) -> [u8; BLOCK_HEADER_BYTES] {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        bytes[..4].copy_from_slice(&BLOCK_MARK);
        let numbers = [
            self.packed_bytes,
            self.raw_bytes,
            self.first_tick,
            self.last_tick,
            self.number,
        ];
        for (place, number) in bytes[4..24].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes[24] = self.flags;
        let sum = checksum(&bytes[..CHECKED_BYTES], packed);
        bytes[CHECKED_BYTES..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads the block at the beginning of `bytes`: its header and its packed payload.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), DamageKind> {
        let (head, rest) = bytes
            .split_first_chunk::<BLOCK_HEADER_BYTES>()
            .ok_or(DamageKind::Torn)?;
        let header = Self::parse(head)?;
        let packed = rest
            .get(..header.packed_bytes as usize)
            .ok_or(DamageKind::Torn)?;
        let (checked, sum) = head.split_at(CHECKED_BYTES);
        if checksum(checked, packed).to_be_bytes() == sum {
            Ok((header, packed))
        } else {
            Err(DamageKind::Checksum)
        }
    }

    fn parse(head: &[u8; BLOCK_HEADER_BYTES]) -> Result<Self, DamageKind> {
        let number =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let header = Self {
            packed_bytes: number(4),
            raw_bytes: number(8),
            first_tick: number(12),
            last_tick: number(16),
            number: number(20),
            flags: head[24],
        };
        let reserved = head[25..CHECKED_BYTES].iter().any(|byte| *byte != 0);
        let makes_sense = head[..4] == BLOCK_MARK
            && header.packed_bytes as usize <= PACKED_BYTES_MAX
            && header.raw_bytes as usize <= BLOCK_BYTES_MAX
            && header.first_tick <= header.last_tick
            && header.flags & !FLAGS == 0
            && !reserved;
        makes_sense.then_some(header).ok_or(DamageKind::Header)
    }
}

/// The offset of the first block.
pub const FIRST_BLOCK: usize = MAGIC.len();

fn checksum(head: &[u8], packed: &[u8]) -> u64 {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    hash.update(head);
    hash.update(packed);
    hash.digest()
}
