//! Holds the quantised state of all entities, now and in all ticks that clients may still refer to.
//! It knows no viewers, and not in which ticks each of them is sent a snapshot.

use gameserver_contract::ids::Seat;

use crate::schema::{Audience, Relation, Schema};

/// Snapshots that a client may refer to: 1.6 s at 20 a second.
pub const BASELINES_MAX: u32 = 32;
const AUDIENCES: usize = 3;

/// An entity's row in the buffer while it is there; used again after it has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What does not change about an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// Its number on the wire: from 1, used once in a match.
    pub id: u32,
    /// Index of its kind in the schema.
    pub kind: u8,
    /// The player that it belongs to.
    pub owner: Option<Seat>,
    /// The team that it belongs to.
    pub team: Option<u16>,
}

#[derive(Debug, Clone, Copy)]
struct Occupant {
    actor: Actor,
    /// The tick in which it was first captured; none before.
    since_tick: Option<u32>,
    /// For each audience, the last tick in which something that it sees was another than in the
    /// capture before.
    changed_tick: [u32; AUDIENCES],
}

#[derive(Debug, Clone, Default)]
struct Capture {
    tick: Option<u32>,
    values: Vec<u32>,
}

/// The captures of the last ticks.
#[derive(Debug)]
pub struct SnapshotBuffer {
    schema: Schema,
    interval: u32,
    stride: usize,
    /// The fields that each audience sees, by kind.
    masks: Vec<[u32; AUDIENCES]>,
    occupants: Vec<Occupant>,
    free: Vec<Slot>,
    /// Who is there, ascending by id.
    present: Vec<(u32, Slot)>,
    captures: Vec<Capture>,
    newest: usize,
    before: usize,
    /// The captures by age in ticks.
    by_age: Vec<Option<usize>>,
    tick: Option<u32>,
}

impl SnapshotBuffer {
    /// An empty buffer, for clients that are sent a snapshot every `interval` ticks.
    #[must_use]
    pub fn new(schema: Schema, interval: u32) -> Self {
        let interval = interval.max(1);
        // As many ticks as the snapshots that a client may refer to can span, and the present one.
        let captures = (BASELINES_MAX * interval) as usize + 1;
        let stride = schema.fields_max();
        let audiences = [Audience::All, Audience::Team, Audience::Owner];
        let masks = schema
            .kinds
            .iter()
            .map(|kind| audiences.map(|audience| kind.mask(audience)))
            .collect();
        Self {
            schema,
            interval,
            stride,
            masks,
            occupants: Vec::new(),
            free: Vec::new(),
            present: Vec::new(),
            captures: vec![Capture::default(); captures],
            newest: 0,
            before: 0,
            by_age: vec![None; captures],
            tick: None,
        }
    }

    /// What the game shows.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Ticks between two snapshots of one client.
    #[must_use]
    pub fn interval(&self) -> u32 {
        self.interval
    }

    /// The tick of the newest capture; none before the first.
    #[must_use]
    pub fn tick(&self) -> Option<u32> {
        self.tick
    }

    /// Who is there, ascending by id.
    #[must_use]
    pub fn present(&self) -> &[(u32, Slot)] {
        &self.present
    }

    /// How many rows there are; every slot's index is below.
    pub(crate) fn occupants(&self) -> usize {
        self.occupants.len()
    }

    /// The entity in that row.
    #[must_use]
    pub fn actor(&self, slot: Slot) -> Actor {
        self.occupants[slot.index()].actor
    }

    /// The row of an entity that is there.
    #[must_use]
    pub fn slot_of(&self, id: u32) -> Option<Slot> {
        let at = self.present.binary_search_by_key(&id, |row| row.0).ok()?;
        Some(self.present[at].1)
    }

    /// Adds an entity; it is shown from the next capture on. Those who enter in one tick
    /// come in no order: a World keeps them by what they are made of.
    pub fn enter(&mut self, actor: Actor) -> Slot {
        let place = Occupant {
            actor,
            since_tick: None,
            changed_tick: [0; AUDIENCES],
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.occupants[slot.index()] = place;
            slot
        } else {
            let slot = Slot(u32::try_from(self.occupants.len()).unwrap_or(u32::MAX));
            self.occupants.push(place);
            for capture in &mut self.captures {
                capture.values.resize(self.occupants.len() * self.stride, 0);
            }
            slot
        };
        // What the last one here had is not this one's.
        self.row_mut(slot).fill(0);
        // Nearly always the last: ids are given away in ascending order.
        let at = self.present.partition_point(|row| row.0 < actor.id);
        self.present.insert(at, (actor.id, slot));
        slot
    }

    /// Removes an entity.
    pub fn leave(&mut self, id: u32) {
        if let Ok(at) = self.present.binary_search_by_key(&id, |row| row.0) {
            let (_, slot) = self.present.remove(at);
            self.free.push(slot);
        }
    }

    /// Begins the capture of a tick: until they are written, all values are those of the last.
    pub fn begin(&mut self, tick: u32) {
        let next = (self.newest + 1) % self.captures.len();
        let (earlier, later) = self.captures.split_at_mut(self.newest.max(next));
        let (from, to) = if next > self.newest {
            (&earlier[self.newest], &mut later[0])
        } else {
            (&later[0], &mut earlier[next])
        };
        to.values.copy_from_slice(&from.values);
        to.tick = Some(tick);
        (self.before, self.newest) = (self.newest, next);
        self.tick = Some(tick);
        self.sort_by_age(tick);
    }

    fn sort_by_age(&mut self, now: u32) {
        self.by_age.fill(None);
        for (index, capture) in self.captures.iter().enumerate() {
            let age = capture.tick.and_then(|tick| now.checked_sub(tick));
            let place = age.and_then(|age| self.by_age.get_mut(age as usize));
            if let Some(place) = place {
                *place = Some(index);
            }
        }
    }

    /// The values of one entity, to be written between [`Self::begin`] and [`Self::finish`].
    pub fn row_mut(&mut self, slot: Slot) -> &mut [u32] {
        let start = slot.index() * self.stride;
        &mut self.captures[self.newest].values[start..start + self.stride]
    }

    /// Ends the capture: notes what has changed.
    pub fn finish(&mut self) {
        let Some(tick) = self.tick else { return };
        let (stride, masks) = (self.stride, &self.masks);
        let (before, now) = (
            &self.captures[self.before].values,
            &self.captures[self.newest].values,
        );
        for (_, slot) in &self.present {
            let place = &mut self.occupants[slot.index()];
            if place.since_tick.is_none() {
                place.since_tick = Some(tick);
                place.changed_tick = [tick; AUDIENCES];
                continue;
            }
            let row = slot.index() * stride..(slot.index() + 1) * stride;
            let changed = differing(&before[row.clone()], &now[row]);
            let seen_by = masks[usize::from(place.actor.kind)].iter();
            let ticks = place.changed_tick.iter_mut().zip(seen_by);
            ticks
                .filter(|(_, mask)| changed & **mask != 0)
                .for_each(|(changed_tick, _)| *changed_tick = tick);
        }
    }

    /// The present values of one entity.
    #[must_use]
    pub fn row(&self, slot: Slot) -> &[u32] {
        self.row_of(self.newest, slot)
    }

    /// Its values in an earlier tick; none when that is too old or was not captured, or when it was
    /// not there.
    #[must_use]
    pub(crate) fn row_at(&self, slot: Slot, tick: u32) -> Option<&[u32]> {
        let age = self.tick?.checked_sub(tick)?;
        let index = (*self.by_age.get(age as usize)?)?;
        let there_since = self.occupants[slot.index()].since_tick?;
        (tick >= there_since).then(|| self.row_of(index, slot))
    }

    fn row_of(&self, capture: usize, slot: Slot) -> &[u32] {
        let start = slot.index() * self.stride;
        &self.captures[capture].values[start..start + self.stride]
    }

    /// The last tick in which something changed that this relation sees.
    pub(crate) fn changed_tick(&self, slot: Slot, relation: Relation) -> u32 {
        self.occupants[slot.index()].changed_tick[relation as usize]
    }

    /// The fields of an entity that this relation sees.
    pub(crate) fn mask(&self, slot: Slot, relation: Relation) -> u32 {
        self.masks[usize::from(self.actor(slot).kind)][relation as usize]
    }
}

/// One bit for each field that is not the same.
fn differing(before: &[u32], now: &[u32]) -> u32 {
    let pairs = before.iter().zip(now).enumerate();
    pairs.fold(0, |mask, (index, (before, now))| {
        mask | u32::from(before != now) << index
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::crowd::{INTERVAL, schema};

    #[test]
    fn who_enters_out_of_order_is_found_and_can_leave() {
        let mut buffer = SnapshotBuffer::new(schema(), INTERVAL);
        let mut enter = |id| {
            buffer.enter(Actor {
                id,
                kind: 0,
                owner: None,
                team: None,
            })
        };
        let [second, third, first] = [2, 3, 1].map(&mut enter);
        assert_eq!(buffer.present(), [(1, first), (2, second), (3, third)]);
        assert_eq!(buffer.slot_of(1), Some(first));
        buffer.leave(1);
        assert_eq!(buffer.present(), [(2, second), (3, third)]);
    }
}
