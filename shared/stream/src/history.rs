//! What the last snapshots told a client: the states that newer ones are differences to. It lies
//! together by snapshot, as it is read, and knows no frame and no field.

use std::collections::VecDeque;

/// The records of one snapshot.
#[derive(Debug, Default)]
pub(crate) struct DecodedSnapshot {
    pub(crate) tick: u32,
    records: Vec<Record>,
    values: Vec<u32>,
}

/// Where the values of one entity stand.
#[derive(Debug, Clone, Copy)]
struct Record {
    id: u32,
    kind: u16,
    len: u16,
    start: u32,
}

/// An entity's state as one snapshot told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State<'a> {
    pub(crate) id: u32,
    pub(crate) kind: usize,
    pub(crate) values: &'a [u32],
}

impl DecodedSnapshot {
    /// Forgets everything but its room.
    pub(crate) fn begin(&mut self, tick: u32) {
        self.tick = tick;
        self.records.clear();
        self.values.clear();
    }

    /// Adds a state; its values may be changed afterwards.
    pub(crate) fn add(
        &mut self,
        id: u32,
        kind: usize,
        values: impl IntoIterator<Item = u32>,
    ) -> &mut [u32] {
        let start = self.values.len();
        self.values.extend(values);
        let len = self.values.len() - start;
        self.records.push(Record {
            id,
            kind: narrow(kind),
            len: narrow(len),
            start: u32::try_from(start).expect("a frame's records have less than 2^32 values"),
        });
        &mut self.values[start..]
    }

    /// Puts the states in the order of their ids; those with the same one stay in theirs.
    pub(crate) fn sort(&mut self) {
        self.records.sort_by_key(|record| record.id);
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = State<'_>> {
        self.records.iter().map(|record| self.state(record))
    }

    /// The last one of this id. They have to be sorted.
    fn find(&self, id: u32) -> Option<State<'_>> {
        let behind = self.records.partition_point(|record| record.id <= id);
        let last = self.records[..behind].last()?;
        (last.id == id).then(|| self.state(last))
    }

    fn state(&self, record: &Record) -> State<'_> {
        let start = record.start as usize;
        State {
            id: record.id,
            kind: record.kind.into(),
            values: &self.values[start..start + usize::from(record.len)],
        }
    }
}

/// Kinds and fields are counted with few bits.
fn narrow(number: usize) -> u16 {
    u16::try_from(number).expect("there are less than 2^16 kinds and fields")
}

/// The last snapshots, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct SnapshotHistory {
    snapshots: VecDeque<DecodedSnapshot>,
    /// One that was forgotten, for its room.
    spare: DecodedSnapshot,
}

impl SnapshotHistory {
    /// An empty one for the next snapshot.
    pub(crate) fn blank(&mut self, tick: u32) -> DecodedSnapshot {
        let mut told = std::mem::take(&mut self.spare);
        told.begin(tick);
        told
    }

    /// Takes back what became no part of the past.
    pub(crate) fn discard(&mut self, told: DecodedSnapshot) {
        self.spare = told;
    }

    /// Adds the newest snapshot, and forgets those before this tick and those that are too many.
    pub(crate) fn add(&mut self, told: DecodedSnapshot, keep_from: u32, snapshots_max: usize) {
        self.snapshots.push_back(told);
        while self.snapshots.len() > snapshots_max
            || self
                .snapshots
                .front()
                .is_some_and(|old| old.tick < keep_from)
        {
            self.spare = self.snapshots.pop_front().unwrap_or_default();
        }
    }

    /// Where the snapshot of this tick stands.
    pub(crate) fn position(&self, tick: u32) -> Option<usize> {
        self.snapshots.iter().rposition(|told| told.tick == tick)
    }

    /// The entity as it was known after the snapshot at this position, if that was told since
    /// this tick.
    pub(crate) fn state_at(&self, position: usize, id: u32, since: u32) -> Option<State<'_>> {
        let until = self.snapshots.range(..=position).rev();
        let mut known = until.take_while(|told| told.tick >= since);
        known.find_map(|told| told.find(id))
    }

    /// How many snapshots are kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn len(&self) -> usize {
        self.snapshots.len()
    }
}
