//! A player's view over a network and for a client that do whatever a script says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gameserver_contract::ids::Seat;

use super::script::Script;
use super::{INTERVAL, assert_sound, new_reader, schema};
use crate::frame::Acks;
use crate::reader::{SnapshotReader, Taken};
use crate::record::Records;
use crate::snapshot_buffer::{Actor, Slot, SnapshotBuffer};
use crate::viewer::{Budget, Seen, Viewer, relation};

const SEAT: Seat = Seat(1);
const TEAM: Option<u16> = Some(1);
/// Entities that ever come: fewer than one snapshot can forget.
const IDS_MAX: u32 = 60;
/// Snapshots between server and client.
const UNDER_WAY_MAX: usize = 64;
/// Decisions of one script.
const STEPS_MAX: usize = 1_024;
/// Everything fits.
const PLENTY: Budget = Budget {
    bytes_per_snapshot: 60_000,
    frame_bytes_max: 60_000,
};
/// Next to nothing fits.
const LITTLE: Budget = Budget {
    bytes_per_snapshot: 40,
    frame_bytes_max: 100,
};

/// A small moving crowd, a viewer and a client, with a network between them that loses, delays and
/// turns over. The first byte chooses whether the client lies and how much it may be told.
///
/// # Panics
///
/// When a client that acknowledges only what it took in knows something else after a snapshot than
/// what was to be seen at its tick, when it is told more than the budget allows, or when any
/// acknowledgements at all make the viewer or the client panic.
pub fn viewer_acks(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut world = World::new(script.byte());
    for _ in 0..STEPS_MAX {
        let Some(decision) = script.next() else {
            return;
        };
        world.step(decision, &mut script);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// It acknowledges some of what it took in.
    Honest,
    /// It acknowledges any number.
    Lying,
}

/// A snapshot, and what was to be seen.
struct Sent {
    number: u32,
    tick: u32,
    frame: Vec<u8>,
    truth: BTreeMap<u32, Vec<u32>>,
}

struct World {
    buffer: SnapshotBuffer,
    records: Records,
    viewer: Viewer,
    reader: SnapshotReader,
    client: Client,
    budget: Budget,
    tick: u32,
    last_id: u32,
    number: u32,
    /// Id, field and value: what the next snapshot shows changed.
    changes: Vec<(u32, usize, u32)>,
    under_way: VecDeque<Sent>,
    taken: BTreeSet<u32>,
}

impl World {
    fn new(choice: u8) -> Self {
        let client = if choice & 1 == 0 {
            Client::Honest
        } else {
            Client::Lying
        };
        let budget = if choice & 2 == 0 { PLENTY } else { LITTLE };
        Self {
            buffer: SnapshotBuffer::new(schema(), INTERVAL),
            records: Records::default(),
            viewer: Viewer::new(SEAT, TEAM, budget),
            reader: new_reader(),
            client,
            budget,
            tick: 0,
            last_id: 0,
            number: 0,
            changes: Vec::new(),
            under_way: VecDeque::new(),
            taken: BTreeSet::new(),
        }
    }

    fn step(&mut self, decision: u8, script: &mut Script<'_>) {
        match decision % 8 {
            0 => self.enter(script),
            1 => self.leave(script),
            2 => self.change(script),
            3 => {
                self.send(script);
                self.deliver(self.under_way.len().checked_sub(1));
            }
            4 => self.send(script),
            5 => {
                let any = script.one_of(self.under_way.len());
                self.deliver(any);
            }
            6 => self.acknowledge(script),
            _ => self.capture(),
        }
    }

    fn enter(&mut self, script: &mut Script<'_>) {
        let traits = script.byte();
        if self.last_id >= IDS_MAX {
            return;
        }
        self.last_id += 1;
        self.buffer.enter(Actor {
            id: self.last_id,
            kind: traits & 1,
            owner: (traits & 2 != 0).then_some(SEAT),
            team: (traits & 4 != 0).then(|| u16::from(traits >> 3 & 3)),
        });
    }

    fn leave(&mut self, script: &mut Script<'_>) {
        if let Some((id, _)) = self.any_present(script) {
            self.buffer.leave(id);
        }
    }

    fn change(&mut self, script: &mut Script<'_>) {
        let Some((id, slot)) = self.any_present(script) else {
            return;
        };
        let kind = usize::from(self.buffer.actor(slot).kind);
        let fields = &self.buffer.schema().kinds[kind].fields;
        let Some(index) = script.one_of(fields.len()) else {
            return;
        };
        let count = fields[index].count;
        // Low and high ones alike, for the ends are where differences go the other way.
        let any = u64::from(script.short());
        let value = if any & 1 == 0 {
            any >> 1
        } else {
            count - 1 - (any >> 1) % count
        };
        let value = u32::try_from(value % count).unwrap_or(0);
        self.changes.push((id, index, value));
    }

    fn any_present(&self, script: &mut Script<'_>) -> Option<(u32, Slot)> {
        let present = self.buffer.present();
        let at = script.one_of(present.len())?;
        Some(present[at])
    }

    fn capture(&mut self) {
        self.tick += INTERVAL;
        self.buffer.begin(self.tick);
        for (id, field, value) in self.changes.drain(..) {
            if let Some(slot) = self.buffer.slot_of(id) {
                self.buffer.row_mut(slot)[field] = value;
            }
        }
        self.buffer.finish();
        self.records.renew(&self.buffer);
    }

    /// The next snapshot; a mask says whom the player does not see.
    fn send(&mut self, script: &mut Script<'_>) {
        self.capture();
        let hidden = script.byte();
        let is_seen = |row: &&(u32, Slot)| hidden >> (row.0 % 8) & 1 == 0;
        let seen: Vec<_> = self
            .buffer
            .present()
            .iter()
            .filter(is_seen)
            .copied()
            .collect();
        let mut frame = Vec::new();
        let (buffer, records) = (&self.buffer, &mut self.records);
        let shown = Seen::Only(&seen);
        if !self
            .viewer
            .write(buffer, records, shown, Some(2), &mut frame)
        {
            assert!(frame.is_empty(), "nothing is written when there is no room");
            return;
        }
        assert!(
            frame.len() <= self.budget.frame_bytes_max,
            "over the budget"
        );
        self.number += 1;
        if self.under_way.len() == UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        let truth = seen.iter().map(|(id, slot)| (*id, self.truth(*slot)));
        let truth = truth.collect();
        self.under_way.push_back(Sent {
            number: self.number,
            tick: self.tick,
            frame,
            truth,
        });
    }

    /// What the player should know of an entity: fields that are not for them are 0.
    fn truth(&self, slot: Slot) -> Vec<u32> {
        let actor = self.buffer.actor(slot);
        let relation = relation(SEAT, TEAM, actor);
        let fields = &self.buffer.schema().kinds[usize::from(actor.kind)].fields;
        let rows = fields.iter().zip(self.buffer.row(slot));
        rows.map(|(field, value)| {
            if field.audience <= relation {
                *value
            } else {
                0
            }
        })
        .collect()
    }

    fn deliver(&mut self, at: Option<usize>) {
        let Some(sent) = at.and_then(|at| self.under_way.remove(at)) else {
            return;
        };
        let is_new = sent.number > self.reader.acks().newest;
        let taken = self.reader.read(&sent.frame);
        assert!(taken.is_ok(), "the own snapshot cannot be read: {taken:?}");
        assert_sound(&self.reader);
        if taken == Ok(Taken::In) {
            assert!(is_new, "an overtaken snapshot was taken in");
            self.taken.insert(sent.number);
        }
        if self.client == Client::Honest {
            assert_eq!(taken == Ok(Taken::In), is_new, "a state is missing");
            if is_new {
                self.assert_knows(&sent);
            }
        }
    }

    fn assert_knows(&self, sent: &Sent) {
        let known = self.reader.entities();
        assert!(known.ids().iter().all(|id| sent.truth.contains_key(id)));
        if self.budget == PLENTY {
            assert_eq!(known.len(), sent.truth.len(), "an entity is missing");
        }
        for (id, entity) in known.iter() {
            if self.budget == PLENTY || entity.tick() == sent.tick {
                assert_eq!(entity.values(), sent.truth[&id], "entity {id}");
            }
        }
    }

    fn acknowledge(&mut self, script: &mut Script<'_>) {
        let acks = match self.client {
            Client::Lying => self.any_acks(script),
            Client::Honest => self.true_acks(script),
        };
        self.viewer.acknowledge(acks.newest, acks.before);
    }

    /// Near the truth most times: far away nothing was ever sent.
    fn any_acks(&self, script: &mut Script<'_>) -> Acks {
        let choice = script.byte();
        let newest = match choice & 1 {
            0 => self
                .number
                .wrapping_add(8)
                .wrapping_sub(u32::from(choice >> 1)),
            _ => script.number(),
        };
        let before = script.number();
        Acks { newest, before }
    }

    /// Some of the snapshots that were taken in, as an acknowledgement of any age would say.
    fn true_acks(&self, script: &mut Script<'_>) -> Acks {
        let any = script.one_of(self.taken.len());
        let newest = any.and_then(|back| self.taken.iter().rev().nth(back));
        let Some(newest) = newest.copied() else {
            return Acks::default();
        };
        let claims = script.number();
        let was_taken = |bit: &u32| {
            let number = newest.checked_sub(1 + bit);
            number.is_some_and(|number| self.taken.contains(&number))
        };
        let bits = (0..u32::BITS).filter(was_taken);
        let before = bits.fold(0, |mask, bit| mask | 1 << bit) & claims;
        Acks { newest, before }
    }
}
