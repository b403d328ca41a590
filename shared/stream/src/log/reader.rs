//! Reads a log from memory: what can be read of it, and where it is damaged.

use std::fmt;

use zstd::bulk::Decompressor;

use super::block::{BLOCK_MARK, BlockHeader, FIRST_BLOCK, HAS_KEY_FRAME, STANDS_ALONE};
use super::error::{Damage, DamageKind, LogError, RecordError};
use super::record::{Footer, LogHeader, Record};
use super::writer::remember;
use super::{BLOCK_BYTES_MAX, DAMAGES_MAX, FORMAT_VERSION, MAGIC};

/// Places behind damage that are tried as the beginning of a block, in all.
const CANDIDATES_MAX: usize = 1_024;

/// A log that was opened.
#[derive(Debug)]
pub struct LogReader<'a> {
    bytes: &'a [u8],
    header: LogHeader,
    blocks: Vec<BlockEntry>,
    damages: Vec<Damage>,
}

/// A block that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where it begins in the file.
    pub offset: usize,
    /// What stands before its payload.
    pub header: BlockHeader,
}

/// What playing a log back gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'p> {
    /// The next record.
    Record(Record<'p>),
    /// Something was lost here. What follows, if anything, begins with a block that stands
    /// alone.
    Damaged(DamageKind),
}

impl<'a> LogReader<'a> {
    /// Finds the blocks of a log and checks each; unpacks the first one only.
    ///
    /// # Errors
    ///
    /// The bytes are no log, or not even its header can be read.
    pub fn open(bytes: &'a [u8]) -> Result<Self, LogError> {
        check_magic(bytes)?;
        let (blocks, damages) = Survey::of(bytes);
        let first_damage = damages.first().map_or(DamageKind::Torn, |found| found.kind);
        let starts_well = blocks
            .first()
            .is_some_and(|first| first.offset == FIRST_BLOCK && first.header.number == 0);
        if !starts_well {
            return Err(LogError::NoHeader(first_damage));
        }
        let header = read_header(bytes, &blocks)?;
        Ok(Self {
            bytes,
            header,
            blocks,
            damages,
        })
    }

    /// What match it is of.
    #[must_use]
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// The blocks that are whole, in the order of the file.
    #[must_use]
    pub fn blocks(&self) -> &[BlockEntry] {
        &self.blocks
    }

    /// The places that cannot be read.
    #[must_use]
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes before a block: what its footer's SHA-256 is of.
    #[must_use]
    pub fn bytes_before(&self, block: &BlockEntry) -> &'a [u8] {
        &self.bytes[..block.offset]
    }

    /// Index of the block to begin with to simulate `tick`: the last one with a key frame before
    /// it, or the first block.
    #[must_use]
    pub fn key_block_before(&self, tick: u32) -> usize {
        self.blocks
            .iter()
            .rposition(|block| block.header.has(HAS_KEY_FRAME) && block.header.first_tick <= tick)
            .unwrap_or(0)
    }

    /// Indexes of the blocks that begin with a key frame.
    pub fn key_blocks(&self) -> impl Iterator<Item = usize> {
        let is_key = |row: &(usize, &BlockEntry)| row.1.header.has(HAS_KEY_FRAME);
        self.blocks
            .iter()
            .enumerate()
            .filter(is_key)
            .map(|row| row.0)
    }

    /// Plays it back from the first block.
    #[must_use]
    pub fn play(&self) -> Playback<'_> {
        self.play_from(0)
    }

    /// Plays it back from this block on: one that stands alone, or what follows up to the next
    /// such block is told as lost.
    #[must_use]
    pub fn play_from(&self, block: usize) -> Playback<'_> {
        Playback {
            bytes: self.bytes,
            blocks: &self.blocks,
            next: block,
            expected: None,
            unpacker: Unpacker::new(),
            at: 0,
            torn: self
                .damages
                .last()
                .copied()
                .filter(|damage| damage.offset + damage.length == self.bytes.len()),
        }
    }

    /// The footer, when the log is complete.
    #[must_use]
    pub fn footer(&self) -> Option<Footer> {
        let last = self.blocks.len().checked_sub(1)?;
        let mut playback = self.play_from(last);
        while let Some(item) = playback.next_item() {
            if let Item::Record(Record::Footer(footer)) = item {
                return Some(footer);
            }
        }
        None
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), LogError> {
    let (name, version) = MAGIC.split_at(MAGIC.len() - 2);
    let rest = bytes.strip_prefix(name).ok_or(LogError::NotALog)?;
    let found = rest.first_chunk().ok_or(LogError::NotALog)?;
    if found == version {
        return Ok(());
    }
    debug_assert_eq!(version, FORMAT_VERSION.to_be_bytes());
    Err(LogError::UnknownVersion(u16::from_be_bytes(*found)))
}

fn read_header(bytes: &[u8], blocks: &[BlockEntry]) -> Result<LogHeader, LogError> {
    let mut unpacker = Unpacker::new();
    unpacker
        .unpack(bytes, &blocks[0])
        .map_err(LogError::NoHeader)?;
    match Record::read(&mut unpacker.payload.as_slice()) {
        Ok(Record::Header(header)) => Ok(*header),
        Ok(_) => Err(LogError::NoHeader(DamageKind::Record(
            RecordError::Malformed,
        ))),
        Err(error) => Err(LogError::NoHeader(DamageKind::Record(error))),
    }
}

/// Hops through a file and notes what is whole and what is not.
#[derive(Debug, Default)]
struct Survey {
    blocks: Vec<BlockEntry>,
    damages: Vec<Damage>,
    candidates: usize,
}

impl Survey {
    fn of(bytes: &[u8]) -> (Vec<BlockEntry>, Vec<Damage>) {
        let mut survey = Self::default();
        let mut offset = FIRST_BLOCK;
        while offset < bytes.len() {
            let Err(kind) = survey.take_block(bytes, &mut offset) else {
                continue;
            };
            let next = if survey.damages.len() + 1 < DAMAGES_MAX {
                survey.find_block(bytes, offset + 1)
            } else {
                bytes.len()
            };
            survey.damages.push(Damage {
                offset,
                length: next - offset,
                kind,
            });
            offset = next;
        }
        (survey.blocks, survey.damages)
    }

    fn take_block(&mut self, bytes: &[u8], offset: &mut usize) -> Result<(), DamageKind> {
        let (header, _) = BlockHeader::read(&bytes[*offset..])?;
        let before = self.blocks.last().map(|last| last.header.number);
        if before.is_some_and(|before| header.number <= before) {
            return Err(DamageKind::Sequence);
        }
        self.blocks.push(BlockEntry {
            offset: *offset,
            header,
        });
        *offset += header.block_bytes();
        Ok(())
    }

    /// Where the next block that is whole begins; the end when there is none.
    fn find_block(&mut self, bytes: &[u8], from: usize) -> usize {
        let marks = bytes
            .windows(BLOCK_MARK.len())
            .enumerate()
            .skip(from)
            .filter(|(_, window)| *window == BLOCK_MARK);
        for (offset, _) in marks {
            self.candidates += 1;
            if self.candidates > CANDIDATES_MAX {
                break;
            }
            if BlockHeader::read(&bytes[offset..]).is_ok() {
                return offset;
            }
        }
        bytes.len()
    }
}

/// Goes through the records of a log, unpacking one block at a time.
#[derive(Debug)]
pub struct Playback<'r> {
    bytes: &'r [u8],
    blocks: &'r [BlockEntry],
    next: usize,
    /// Number of the block that continues what was unpacked last.
    expected: Option<u32>,
    unpacker: Unpacker,
    /// Where the next record begins in the unpacked block.
    at: usize,
    torn: Option<Damage>,
}

impl Playback<'_> {
    /// The next record, or what was lost. `None` at the end.
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        while self.at >= self.unpacker.payload.len() {
            let Some(block) = self.blocks.get(self.next).copied() else {
                return self.torn.take().map(|damage| Item::Damaged(damage.kind));
            };
            self.next += 1;
            if let Err(kind) = self.begin_block(&block) {
                return Some(Item::Damaged(kind));
            }
        }
        let mut rest = &self.unpacker.payload[self.at..];
        match Record::read(&mut rest) {
            Ok(record) => {
                self.at = self.unpacker.payload.len() - rest.len();
                Some(Item::Record(record))
            }
            Err(error) => {
                self.at = usize::MAX;
                self.expected = None;
                Some(Item::Damaged(DamageKind::Record(error)))
            }
        }
    }

    /// True when the block of the last record has all its records read: a good place to stop.
    #[must_use]
    pub fn at_block_end(&self) -> bool {
        self.at >= self.unpacker.payload.len()
    }

    fn begin_block(&mut self, block: &BlockEntry) -> Result<(), DamageKind> {
        self.at = usize::MAX;
        let number = block.header.number;
        let alone = block.header.has(STANDS_ALONE);
        let continues = self.expected == Some(number);
        if !alone && !continues {
            self.expected = None;
            self.skip_dependents();
            return Err(DamageKind::Dependent);
        }
        if self.expected.is_some() && !continues {
            // It stands alone, but something is missing before it: told once, then read.
            self.expected = Some(number);
            self.next -= 1;
            return Err(DamageKind::Sequence);
        }
        self.unpacker.unpack(self.bytes, block).inspect_err(|_| {
            self.expected = None;
        })?;
        self.expected = number.checked_add(1);
        self.at = 0;
        Ok(())
    }

    /// What cannot be unpacked is told as one loss.
    fn skip_dependents(&mut self) {
        let rest = self.blocks.get(self.next..).unwrap_or_default();
        let skipped = rest
            .iter()
            .take_while(|block| !block.header.has(STANDS_ALONE))
            .count();
        self.next += skipped;
    }
}

/// Unpacks blocks, each into the same memory.
struct Unpacker {
    decompressor: Option<Decompressor<'static>>,
    dictionary: Vec<u8>,
    payload: Vec<u8>,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker")
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl Unpacker {
    fn new() -> Self {
        Self {
            decompressor: Decompressor::new().ok(),
            dictionary: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Unpacks exactly the promised length, which [`BLOCK_BYTES_MAX`] limits.
    fn unpack(&mut self, bytes: &[u8], block: &BlockEntry) -> Result<(), DamageKind> {
        let (header, packed) = BlockHeader::read(&bytes[block.offset..])?;
        if header.has(STANDS_ALONE) {
            self.dictionary.clear();
        }
        let raw_bytes = (header.raw_bytes as usize).min(BLOCK_BYTES_MAX);
        let unpacked = self
            .decompress(packed, raw_bytes)
            .ok_or(DamageKind::Compression)?;
        if unpacked != raw_bytes {
            return Err(DamageKind::Compression);
        }
        remember(&mut self.dictionary, &self.payload);
        Ok(())
    }

    fn decompress(&mut self, packed: &[u8], raw_bytes: usize) -> Option<usize> {
        let decompressor = self.decompressor.as_mut()?;
        decompressor.set_dictionary(&self.dictionary).ok()?;
        self.payload.clear();
        self.payload.reserve_exact(raw_bytes);
        decompressor
            .decompress_to_buffer(packed, &mut self.payload)
            .ok()
    }
}
