//! Records: what is said of one entity in one snapshot, encoded once for everybody who needs the
//! same and copied from then on.

use crate::schema::Relation;
use crate::snapshot_buffer::{Slot, SnapshotBuffer};
use crate::viewer::Scratch;
use crate::wire::put_uint;

/// Encodings of one entity that are remembered at once: clients at different distances refer to
/// some five snapshots. One more is encoded again, which costs time and nothing else.
const REMEMBERED: usize = 8;

/// Where a record stands among the encoded bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Record {
    start: u32,
    pub(crate) len: u16,
    /// Integers in it.
    pub(crate) integers: u16,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    generation: u32,
    relation: Relation,
    baseline: Option<u32>,
    record: Record,
}

impl Remembered {
    const NOTHING: Self = Self {
        generation: 0,
        relation: Relation::All,
        baseline: None,
        record: Record {
            start: 0,
            len: 0,
            integers: 0,
        },
    };
}

/// The records of one snapshot. Reused for the next one, so that nothing is allocated once it has
/// been as large as it gets.
#[derive(Debug)]
pub struct Records {
    generation: u32,
    bytes: Vec<u8>,
    remembered: Vec<[Remembered; REMEMBERED]>,
    pub(crate) scratch: Scratch,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            generation: 1,
            bytes: Vec::new(),
            remembered: Vec::new(),
            scratch: Scratch::default(),
        }
    }
}

impl Records {
    /// Forgets the last snapshot's records; to be called before each snapshot is encoded.
    pub fn renew(&mut self, buffer: &SnapshotBuffer) {
        self.generation = self.generation.wrapping_add(1);
        self.bytes.clear();
        let needed = buffer.occupants();
        if self.remembered.len() < needed {
            self.remembered
                .resize(needed, [Remembered::NOTHING; REMEMBERED]);
        }
    }

    /// The record of an entity as this relation sees it: the difference to a baseline, or all of
    /// it when there is none.
    pub(crate) fn get(
        &mut self,
        buffer: &SnapshotBuffer,
        slot: Slot,
        relation: Relation,
        baseline: Option<u32>,
    ) -> Record {
        let generation = self.generation;
        let known = &self.remembered[slot.index()];
        let found = known.iter().find(|entry| {
            entry.generation == generation
                && entry.relation == relation
                && entry.baseline == baseline
        });
        if let Some(entry) = found {
            return entry.record;
        }
        let record = self.encode(buffer, slot, relation, baseline);
        let known = &mut self.remembered[slot.index()];
        let unused = known
            .iter()
            .position(|entry| entry.generation != generation)
            .unwrap_or(REMEMBERED - 1);
        known[unused] = Remembered {
            generation,
            relation,
            baseline,
            record,
        };
        record
    }

    /// The bytes of a record.
    pub(crate) fn bytes(&self, record: Record) -> &[u8] {
        let start = record.start as usize;
        &self.bytes[start..start + usize::from(record.len)]
    }

    fn encode(
        &mut self,
        buffer: &SnapshotBuffer,
        slot: Slot,
        relation: Relation,
        baseline: Option<u32>,
    ) -> Record {
        let start = self.bytes.len();
        let shown = buffer.mask(slot, relation);
        let earlier = baseline.and_then(|tick| buffer.row_at(slot, tick));
        let integers = match earlier {
            Some(earlier) => self.encode_difference(buffer, slot, shown, earlier),
            None => self.encode_whole(buffer, slot, shown),
        };
        // A record has at most 32 fields of 5 bytes.
        let len = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        Record {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len,
            integers,
        }
    }

    fn encode_whole(&mut self, buffer: &SnapshotBuffer, slot: Slot, shown: u32) -> u16 {
        let row = buffer.row(slot);
        let mask = fields(shown)
            .filter(|index| row[*index] != 0)
            .fold(0, |mask, index| mask | 1 << index);
        put_uint(&mut self.bytes, u32::from(buffer.actor(slot).kind));
        put_uint(&mut self.bytes, mask);
        for index in fields(mask) {
            put_uint(&mut self.bytes, row[index]);
        }
        2 + count(mask)
    }

    fn encode_difference(
        &mut self,
        buffer: &SnapshotBuffer,
        slot: Slot,
        shown: u32,
        earlier: &[u32],
    ) -> u16 {
        let row = buffer.row(slot);
        let mask = fields(shown)
            .filter(|index| row[*index] != earlier[*index])
            .fold(0, |mask, index| mask | 1 << index);
        let kind = usize::from(buffer.actor(slot).kind);
        let described = &buffer.schema().kinds[kind].fields;
        put_uint(&mut self.bytes, mask);
        for index in fields(mask) {
            let difference = described[index].difference(earlier[index], row[index]);
            put_uint(&mut self.bytes, difference);
        }
        1 + count(mask)
    }
}

/// The set bits, ascending.
pub(crate) fn fields(mask: u32) -> impl Iterator<Item = usize> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        let index = rest.trailing_zeros();
        rest &= rest.checked_sub(1)?;
        Some(index as usize)
    })
}

fn count(mask: u32) -> u16 {
    u16::try_from(mask.count_ones()).unwrap_or(u16::MAX)
}
