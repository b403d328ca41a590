//! Records in, blocks out. The match fills blocks; another thread compresses them.

use std::fmt;

use bytes::Bytes;
use gameserver_contract::ids::Seat;
use sha2::{Digest as _, Sha256};
use zstd::bulk::Compressor;

use super::block::{BlockHeader, HAS_FOOTER, HAS_KEY_FRAME, RawBlock, STANDS_ALONE};
use super::error::EncodeError;
use super::record::{self, Footer, LogHeader, SeatChange, SnapshotKind};
use super::{BLOCK_BYTES_MAX, BLOCK_BYTES_TARGET, DICTIONARY_BYTES_MAX, MAGIC, RECORD_BYTES_MAX};

/// How hard zstd tries. Harder ones save a few percent and take twice the time.
const COMPRESSION_LEVEL: i32 = 3;

/// Fills blocks with records; the cheap half, for the match's own thread.
#[derive(Debug)]
pub struct LogWriter {
    block: RawBlock,
    block_ticks: u32,
    ticks_per_block: u32,
    last_tick: u32,
    ticks_missing: u32,
    /// The first tick that is not in the log, while ticks are being lost.
    lost_since: Option<u32>,
}

/// One tick, as it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct TickEntry<'a, I> {
    /// The tick.
    pub tick: u32,
    /// Who came and went before it, in this order.
    pub changes: &'a [SeatChange],
    /// The inputs that differ from the tick before.
    pub inputs: I,
    /// The hash of each kind of state.
    pub hashes: &'a [u32],
}

impl LogWriter {
    /// Begins a log. A block is ended after so many ticks.
    #[must_use]
    pub fn begin(header: &LogHeader, ticks_per_block: u32) -> Self {
        let mut payload = Vec::new();
        record::write_header(&mut payload, header);
        Self {
            block: RawBlock {
                first_tick: 0,
                last_tick: 0,
                flags: STANDS_ALONE,
                payload,
            },
            block_ticks: 0,
            ticks_per_block,
            last_tick: 0,
            ticks_missing: 0,
            lost_since: None,
        }
    }

    /// The last tick that it was told of.
    #[must_use]
    pub fn last_tick(&self) -> u32 {
        self.last_tick
    }

    /// Ticks that are not in the log.
    #[must_use]
    pub fn ticks_missing(&self) -> u32 {
        let losing = self
            .lost_since
            .map_or(0, |first| (self.last_tick + 1).saturating_sub(first));
        self.ticks_missing + losing
    }

    /// True from [`Self::lose`] to [`Self::resume`].
    #[must_use]
    pub fn is_losing(&self) -> bool {
        self.lost_since.is_some()
    }

    /// Records a tick. Gives the block before it when that is full.
    pub fn tick<'i, I>(&mut self, entry: TickEntry<'_, I>) -> Option<RawBlock>
    where
        I: ExactSizeIterator<Item = (Seat, &'i [u8])>,
    {
        let long_enough = self.block_ticks >= self.ticks_per_block;
        let full = if long_enough {
            self.end_block()
        } else {
            self.end_full_block()
        };
        self.last_tick = entry.tick;
        if self.is_losing() {
            return None;
        }
        self.tells_of(entry.tick);
        self.block_ticks += 1;
        record::write_tick(
            &mut self.block.payload,
            entry.tick,
            entry.changes,
            entry.inputs,
            entry.hashes,
        );
        full
    }

    /// Records what spectators are sent, after its tick.
    ///
    /// # Errors
    ///
    /// It is too large.
    pub fn snapshot(
        &mut self,
        tick: u32,
        kind: SnapshotKind,
        frame: &[u8],
    ) -> Result<Option<RawBlock>, EncodeError> {
        check_size(frame)?;
        if self.is_losing() {
            return Ok(None);
        }
        let full = self.end_full_block();
        self.tells_of(tick);
        record::write_snapshot(&mut self.block.payload, tick, kind, frame);
        Ok(full)
    }

    /// Records what spectators are told, after its tick.
    ///
    /// # Errors
    ///
    /// It is too large.
    pub fn event(&mut self, tick: u32, frame: &[u8]) -> Result<Option<RawBlock>, EncodeError> {
        check_size(frame)?;
        if self.is_losing() {
            return Ok(None);
        }
        let full = self.end_full_block();
        self.tells_of(tick);
        record::write_event(&mut self.block.payload, tick, frame);
        Ok(full)
    }

    /// Records the state at the end of a tick. It begins a block that stands alone and tells of
    /// the tick after; the block before it is given.
    ///
    /// # Errors
    ///
    /// It is too large.
    pub fn key_frame(&mut self, tick: u32, state: &[u8]) -> Result<Option<RawBlock>, EncodeError> {
        check_size(state)?;
        if self.is_losing() {
            return Ok(None);
        }
        let before = self.end_block();
        self.tells_of(tick.saturating_add(1));
        self.block.flags = STANDS_ALONE | HAS_KEY_FRAME;
        record::write_key_frame(&mut self.block.payload, tick, state);
        Ok(before)
    }

    /// This block did not come into the log. What would refer to it does not either: nothing is
    /// recorded up to [`Self::resume`].
    pub fn lose(&mut self, block: &RawBlock) {
        self.lost_since.get_or_insert(block.first_tick);
        self.end_block();
    }

    /// Begins again, with the state at the end of the last tick that is missing.
    ///
    /// # Errors
    ///
    /// The state is too large.
    pub fn resume(&mut self, state: &[u8]) -> Result<(), EncodeError> {
        check_size(state)?;
        self.ticks_missing = self.ticks_missing();
        let Some(first_tick) = self.lost_since.take() else {
            return Ok(());
        };
        self.key_frame(self.last_tick, state)?;
        record::write_gap(&mut self.block.payload, first_tick, self.last_tick);
        Ok(())
    }

    /// The block that is being filled, unless it is empty.
    pub fn end_block(&mut self) -> Option<RawBlock> {
        self.block_ticks = 0;
        if self.block.payload.is_empty() {
            return None;
        }
        let last_tick = self.block.last_tick;
        let next = RawBlock {
            first_tick: last_tick,
            last_tick,
            flags: 0,
            // The next block will be about as long as this one.
            payload: Vec::with_capacity(self.block.payload.len()),
        };
        Some(std::mem::replace(&mut self.block, next))
    }

    fn end_full_block(&mut self) -> Option<RawBlock> {
        if self.block.payload.len() < BLOCK_BYTES_TARGET {
            return None;
        }
        self.end_block()
    }

    fn tells_of(&mut self, tick: u32) {
        if self.block.payload.is_empty() {
            self.block.first_tick = tick;
            self.block.flags = 0;
        }
        self.block.last_tick = tick.max(self.block.first_tick);
    }
}

fn check_size(bytes: &[u8]) -> Result<(), EncodeError> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(EncodeError::RecordTooLarge(bytes.len()));
    }
    Ok(())
}

/// Compresses the blocks of one log and counts its bytes; the dear half, for another thread.
pub struct BlockEncoder {
    compressor: Compressor<'static>,
    /// The end of what was written since the last block that stands alone.
    dictionary: Vec<u8>,
    sha256: Sha256,
    number: u32,
    bytes: u64,
}

impl fmt::Debug for BlockEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockEncoder")
            .field("number", &self.number)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl BlockEncoder {
    /// Begins a log: the bytes are its first ones.
    ///
    /// # Errors
    ///
    /// There is no memory for the compressor.
    pub fn begin() -> Result<(Self, Bytes), EncodeError> {
        let compressor = Compressor::new(COMPRESSION_LEVEL).map_err(EncodeError::Compression)?;
        let mut encoder = Self {
            compressor,
            dictionary: Vec::new(),
            sha256: Sha256::new(),
            number: 0,
            bytes: 0,
        };
        let magic = Bytes::from_static(&MAGIC);
        encoder.count(&magic);
        Ok((encoder, magic))
    }

    /// Bytes made so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Compresses a block.
    ///
    /// # Errors
    ///
    /// It is too large, or the compressor failed. The log goes on with the next block that
    /// stands alone.
    pub fn encode(&mut self, block: &RawBlock) -> Result<Bytes, EncodeError> {
        let too_large = |_| EncodeError::BlockTooLarge(block.payload.len());
        if block.payload.len() > BLOCK_BYTES_MAX {
            return Err(EncodeError::BlockTooLarge(block.payload.len()));
        }
        if block.flags & STANDS_ALONE != 0 {
            self.dictionary.clear();
        }
        let packed = self.compress(&block.payload)?;
        let header = BlockHeader {
            packed_bytes: u32::try_from(packed.len()).map_err(too_large)?,
            raw_bytes: u32::try_from(block.payload.len()).map_err(too_large)?,
            first_tick: block.first_tick,
            last_tick: block.last_tick,
            number: self.number,
            flags: block.flags,
        };
        let encoded = Bytes::from([&header.write(&packed)[..], &packed].concat());
        self.number += 1;
        remember(&mut self.dictionary, &block.payload);
        self.count(&encoded);
        Ok(encoded)
    }

    /// Makes the footer's block. `sign` signs the bytes of [`record::log_claim`].
    ///
    /// # Errors
    ///
    /// As [`Self::encode`].
    pub fn finish(
        &mut self,
        last_tick: u32,
        footer: Footer,
        sign: impl FnOnce(&[u8]) -> [u8; 32],
    ) -> Result<Bytes, EncodeError> {
        let sha256: [u8; 32] = self.sha256.clone().finalize().into();
        let footer = Footer {
            sha256,
            log_signature: sign(&record::log_claim(&sha256)),
            ..footer
        };
        let mut payload = Vec::new();
        record::write_footer(&mut payload, &footer);
        self.encode(&RawBlock {
            first_tick: last_tick,
            last_tick,
            flags: STANDS_ALONE | HAS_FOOTER,
            payload,
        })
    }

    fn compress(&mut self, payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
        self.compressor
            .set_dictionary(COMPRESSION_LEVEL, &self.dictionary)
            .map_err(EncodeError::Compression)?;
        self.compressor
            .compress(payload)
            .map_err(EncodeError::Compression)
    }

    fn count(&mut self, written: &[u8]) {
        self.sha256.update(written);
        self.bytes += written.len() as u64;
    }
}

/// Appends what was written and keeps the end of it.
pub(super) fn remember(dictionary: &mut Vec<u8>, payload: &[u8]) {
    dictionary.extend_from_slice(payload);
    let surplus = dictionary.len().saturating_sub(DICTIONARY_BYTES_MAX);
    dictionary.drain(..surplus);
}
