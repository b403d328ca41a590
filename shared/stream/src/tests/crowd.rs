//! A moving crowd, for tests that need something to look at.

use gameserver_contract::ids::Seat;

use crate::frame::put_start;
use crate::reader::{SnapshotReader, Start};
use crate::record::Records;
use crate::schema::{Audience, Field, Kind, Schema};
use crate::snapshot_buffer::{Actor, Slot, SnapshotBuffer};

pub(crate) const INTERVAL: u32 = 3;

/// Two kinds, with a field for each audience.
pub(crate) fn schema() -> Schema {
    let fields = vec![
        Field::line("x", 0.0, 100.0, 1.0 / 64.0),
        Field::line("y", 0.0, 100.0, 1.0 / 64.0),
        Field::circle("aim", 1.0, 256),
        Field::integer("stamina", 100).shown_to(Audience::Team),
        Field::integer("ammunition", 40).shown_to(Audience::Owner),
    ];
    let mut schema = Schema::default();
    for (name, fields) in [
        ("fighter", fields),
        ("crate", vec![Field::integer("content", 9)]),
    ] {
        let kind = Kind {
            name,
            fields,
            priority: 1,
        };
        schema.add(kind).unwrap();
    }
    schema
}

/// A crowd whose every step follows from a seed.
pub(crate) struct Crowd {
    pub(crate) buffer: SnapshotBuffer,
    pub(crate) records: Records,
    random: u64,
    next_id: u32,
    tick: u32,
}

impl Crowd {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            buffer: SnapshotBuffer::new(schema(), INTERVAL),
            records: Records::default(),
            random: seed | 1,
            next_id: 1,
            tick: 0,
        }
    }

    /// xorshift64: good enough to be unpredictable, and the same on every run.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        u32::try_from(self.random % u64::from(end)).unwrap()
    }

    pub(crate) fn enter(&mut self) -> Slot {
        let id = self.next_id;
        self.next_id += 1 + self.below(3);
        let kind = u8::from(self.below(5) == 0);
        self.buffer.enter(Actor {
            id,
            kind,
            owner: (kind == 0).then(|| Seat(u16::try_from(id).unwrap())),
            team: (kind == 0).then(|| u16::try_from(id % 4).unwrap()),
        })
    }

    /// Some come, some go, most move; then a snapshot is taken.
    pub(crate) fn step(&mut self) {
        if self.below(4) == 0 {
            self.enter();
        }
        let count = u32::try_from(self.buffer.present().len()).unwrap();
        if count > 8 && self.below(5) == 0 {
            let at = self.below(count) as usize;
            let id = self.buffer.present()[at].0;
            self.buffer.leave(id);
        }
        self.capture();
    }

    pub(crate) fn capture(&mut self) {
        self.tick += INTERVAL;
        self.buffer.begin(self.tick);
        for (_, slot) in self.buffer.present().to_vec() {
            let kind = usize::from(self.buffer.actor(slot).kind);
            let fields = self.buffer.schema().kinds[kind].fields.clone();
            for (index, field) in fields.iter().enumerate() {
                let value = self.buffer.row_mut(slot)[index];
                let moved = self.move_by(field, value);
                self.buffer.row_mut(slot)[index] = moved;
            }
        }
        self.buffer.finish();
        self.records.renew(&self.buffer);
    }

    /// A snapshot in which nothing moves.
    pub(crate) fn capture_stillness(&mut self) {
        self.tick += INTERVAL;
        self.buffer.begin(self.tick);
        self.buffer.finish();
        self.records.renew(&self.buffer);
    }

    /// Small steps mostly, a jump now and then, and often none.
    fn move_by(&mut self, field: &Field, value: u32) -> u32 {
        let count = u32::try_from(field.count).unwrap();
        match self.below(10) {
            0..4 => value,
            4..9 => (value + count + self.below(9.min(count)) - 4.min(count - 1)) % count,
            _ => self.below(count),
        }
    }

    /// Some of those who are there, ascending.
    pub(crate) fn some(&mut self, share_percent: u32) -> Vec<(u32, Slot)> {
        let present = self.buffer.present().to_vec();
        present
            .into_iter()
            .filter(|_| self.below(100) < share_percent)
            .collect()
    }

    pub(crate) fn reader(&self) -> SnapshotReader {
        let mut bytes = Vec::new();
        put_start(&mut bytes, self.tick, INTERVAL, self.buffer.schema(), "{}");
        SnapshotReader::new(&Start::decode(&bytes).unwrap())
    }

    /// What somebody of this relation should know of an entity: fields that are not theirs are 0.
    pub(crate) fn truth(&self, slot: Slot, relation: Audience) -> Vec<u32> {
        let kind = usize::from(self.buffer.actor(slot).kind);
        let fields = &self.buffer.schema().kinds[kind].fields;
        let row = self.buffer.row(slot);
        let shown = |(index, field): (usize, &Field)| {
            if field.audience <= relation {
                row[index]
            } else {
                0
            }
        };
        fields.iter().enumerate().map(shown).collect()
    }
}
