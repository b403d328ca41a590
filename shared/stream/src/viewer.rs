//! One player's share of the stream: what they know, what they still have to be told, and how
//! many bytes that may take. It knows no connection.

use std::cmp::Reverse;
use std::ops::Range;

use gameserver_contract::ids::Seat;

use crate::frame::SNAPSHOT;
use crate::group::{GROUP_BYTES, Groups};
use crate::record::{Record, Records};
use crate::schema::Relation;
use crate::snapshot_buffer::{Actor, Slot, SnapshotBuffer};
use crate::wire::{put_array, put_int, put_nil, put_uint, uint_len};

/// Snapshots whose acknowledgement is waited for: 3 s at 20 a second. As many as a mask has bits.
const SENT_MAX: usize = u64::BITS as usize;
/// Entities to be forgotten that one snapshot names; the others are named by the next ones.
const GONE_PER_SNAPSHOT_MAX: usize = 64;
/// Entities that wait to be forgotten. A client that lets so many wait acknowledges nothing.
const GONE_MAX: usize = 4_096;
/// Bytes around the records: frame, number, tick, lead, and the lengths of both lists.
const FRAME_BYTES: usize = 24;

/// What a viewer may see of a snapshot.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// Everything that is there.
    All,
    /// These, ascending by id.
    Only(&'a [(u32, Slot)]),
}

impl<'a> Seen<'a> {
    pub(crate) fn list(self, buffer: &'a SnapshotBuffer) -> &'a [(u32, Slot)] {
        match self {
            Self::All => buffer.present(),
            Self::Only(list) => list,
        }
    }
}

/// How many bytes a viewer gets: a token bucket that is filled once a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes for each snapshot on average.
    pub bytes_per_snapshot: usize,
    /// Largest snapshot; at least 64.
    pub frame_bytes_max: usize,
}

/// An entity that the viewer sees now.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: u32,
    slot: Slot,
    relation: Relation,
    /// The newest snapshot whose state of it the client has for certain.
    acked_tick: Option<u32>,
    /// When it was last told of; first seen, before.
    told_tick: u32,
    /// Which snapshots told of it since it came into view: the newest is the lowest bit.
    told: u64,
}

/// An entity that the viewer does not see any more and may still know.
#[derive(Debug, Clone, Copy)]
struct Gone {
    id: u32,
    /// Which snapshots named it: the newest is the lowest bit.
    named: u64,
}

/// An entity that the client has to be told of.
#[derive(Debug, Clone, Copy)]
struct Pending {
    index: usize,
    record: Record,
    group: usize,
    bytes: usize,
    urgency: u32,
}

/// One player's view.
#[derive(Debug)]
pub struct Viewer {
    seat: Seat,
    team: Option<u16>,
    budget: Budget,
    tokens: usize,
    number: u32,
    acked: Acked,
    known: Vec<Known>,
    gone: Vec<Gone>,
    /// The ticks of the last snapshots, each at the place of its number.
    ticks: [u32; SENT_MAX],
    /// Kept from snapshot to snapshot so that nothing is allocated; empty in between.
    next_known: Vec<Known>,
}

/// Which snapshots were acknowledged already: clients say the same 32 again and again.
#[derive(Debug, Default)]
struct Acked {
    newest: u32,
    /// One bit for each number: the newest is the lowest.
    mask: u64,
}

impl Acked {
    /// Notes these, of which `newest` is the lowest bit. Those that were not known before, as seen
    /// from [`Self::newest`]; those that are too old to be waited for are left out.
    fn add(&mut self, newest: u32, said: u64) -> u64 {
        let newer = newest.saturating_sub(self.newest);
        let late = self.newest.saturating_sub(newest);
        let known = self.mask.checked_shl(newer).unwrap_or(0);
        let said = said.checked_shl(late).unwrap_or(0);
        self.newest = self.newest.max(newest);
        self.mask = known | said;
        said & !known
    }
}

/// What is needed while a snapshot is written, for one viewer after the other.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    gone: Vec<u32>,
    pending: Vec<Pending>,
    groups: Groups,
}

impl Viewer {
    /// A viewer who knows nothing yet.
    #[must_use]
    pub fn new(seat: Seat, team: Option<u16>, budget: Budget) -> Self {
        Self {
            seat,
            team,
            budget,
            tokens: budget.frame_bytes_max,
            number: 0,
            acked: Acked::default(),
            known: Vec::new(),
            gone: Vec::new(),
            ticks: [0; SENT_MAX],
            next_known: Vec::new(),
        }
    }

    /// True when the client has not acknowledged for so long that it cannot be served any more.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.gone.len() >= GONE_MAX
    }

    /// Takes in which snapshots arrived: the newest, and one bit for each of the 32 before it.
    /// Numbers that were never sent mean nothing.
    pub fn acknowledge(&mut self, newest: u32, before: u32) {
        let never_sent = newest.saturating_sub(self.number);
        let said = 1 | u64::from(before) << 1;
        let said = said.checked_shr(never_sent).unwrap_or(0);
        let news = self.acked.add(newest.min(self.number), said);
        // As seen from the newest snapshot, as everything else is.
        let news = news
            .checked_shl(self.number - self.acked.newest)
            .unwrap_or(0);
        if news == 0 {
            return;
        }
        for known in &mut self.known {
            let heard = known.told & news;
            if heard != 0 {
                let number = self.number - heard.trailing_zeros();
                let tick = self.ticks[number as usize % SENT_MAX];
                known.acked_tick = known.acked_tick.max(Some(tick));
            }
        }
        self.gone.retain(|gone| gone.named & news == 0);
    }

    /// Appends the frame of the present snapshot to `out`, with as much of what has changed as
    /// the budget allows. False, and nothing appended, when there is no room for any.
    pub fn write(
        &mut self,
        buffer: &SnapshotBuffer,
        records: &mut Records,
        seen: Seen<'_>,
        lead: Option<i32>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(tick) = buffer.tick() else {
            return false;
        };
        self.look(buffer, seen.list(buffer), tick);
        let burst = self.budget.frame_bytes_max + self.budget.bytes_per_snapshot;
        self.tokens = (self.tokens + self.budget.bytes_per_snapshot).min(burst);
        let mut scratch = std::mem::take(&mut records.scratch);
        let written = self.write_with(&mut scratch, buffer, records, tick, lead, out);
        records.scratch = scratch;
        written
    }

    fn write_with(
        &mut self,
        scratch: &mut Scratch,
        buffer: &SnapshotBuffer,
        records: &mut Records,
        tick: u32,
        lead: Option<i32>,
        out: &mut Vec<u8>,
    ) -> bool {
        let gone = &self.gone[self.gone_part()];
        scratch.gone.clear();
        scratch.gone.extend(gone.iter().map(|gone| gone.id));
        self.collect(scratch, buffer, records, tick);
        let limit = self.tokens.min(self.budget.frame_bytes_max);
        let gone_bytes: usize = scratch.gone.iter().map(|id| uint_len(*id)).sum();
        let around = FRAME_BYTES + gone_bytes + GROUP_BYTES * scratch.groups.count();
        let Some(room) = limit.checked_sub(around) else {
            return false;
        };
        choose(&mut scratch.pending, room);
        self.known.iter_mut().for_each(|known| known.told <<= 1);
        for pending in &scratch.pending {
            let known = &mut self.known[pending.index];
            (known.told_tick, known.told) = (tick, known.told | 1);
            let bytes = records.bytes(pending.record);
            let (groups, record) = (&mut scratch.groups, pending.record);
            groups.add(pending.group, known.id, record, bytes);
        }
        self.note_named();
        self.number += 1;
        let before = out.len();
        self.assemble(scratch, tick, lead, out);
        self.tokens = self.tokens.saturating_sub(out.len() - before);
        self.ticks[self.number as usize % SENT_MAX] = tick;
        true
    }

    /// Brings what is known up to what is seen. What comes before the first difference stays where
    /// it is: most of it, from one snapshot to the next.
    fn look(&mut self, buffer: &SnapshotBuffer, seen: &[(u32, Slot)], tick: u32) {
        let pairs = self.known.iter().zip(seen);
        let same = pairs.take_while(|(known, (id, _))| known.id == *id).count();
        let mut known = self.known[same..].iter().copied().peekable();
        for (id, slot) in &seen[same..] {
            while let Some(lost) = known.next_if(|known| known.id < *id) {
                self.gone.push(Gone::new(lost.id));
            }
            if let Some(still) = known.next_if(|known| known.id == *id) {
                self.next_known.push(still);
                continue;
            }
            self.gone.retain(|gone| gone.id != *id);
            self.next_known.push(Known {
                id: *id,
                slot: *slot,
                relation: relation(self.seat, self.team, buffer.actor(*slot)),
                acked_tick: None,
                told_tick: tick.saturating_sub(buffer.interval()),
                told: 0,
            });
        }
        self.gone.extend(known.map(|lost| Gone::new(lost.id)));
        self.known.truncate(same);
        self.known.append(&mut self.next_known);
    }

    /// The entities that this snapshot names as gone: a part of them at a time, in turn.
    fn gone_part(&self) -> Range<usize> {
        let parts = self.gone.len().div_ceil(GONE_PER_SNAPSHOT_MAX).max(1);
        let start = self.number as usize % parts * GONE_PER_SNAPSHOT_MAX;
        start..self.gone.len().min(start + GONE_PER_SNAPSHOT_MAX)
    }

    /// Lists what the client does not have for certain.
    fn collect(
        &self,
        scratch: &mut Scratch,
        buffer: &SnapshotBuffer,
        records: &mut Records,
        tick: u32,
    ) {
        scratch.pending.clear();
        scratch.groups.clear();
        for (index, known) in self.known.iter().enumerate() {
            let changed_tick = buffer.changed_tick(known.slot, known.relation);
            if known.acked_tick.is_some_and(|acked| changed_tick <= acked) {
                continue;
            }
            let baseline = known
                .acked_tick
                .filter(|acked| buffer.row_at(known.slot, *acked).is_some());
            let record = records.get(buffer, known.slot, known.relation, baseline);
            let age = baseline.map_or(0, |baseline| tick - baseline);
            scratch.pending.push(Pending {
                index,
                record,
                group: scratch.groups.of_age(age),
                bytes: uint_len(known.id) + usize::from(record.len),
                urgency: urgency(buffer, known, tick),
            });
        }
    }

    fn assemble(&self, scratch: &Scratch, tick: u32, lead: Option<i32>, out: &mut Vec<u8>) {
        put_array(out, 6);
        put_uint(out, SNAPSHOT);
        put_uint(out, self.number);
        put_uint(out, tick);
        match lead {
            Some(lead) => put_int(out, lead),
            None => put_nil(out),
        }
        put_array(out, scratch.gone.len());
        for id in &scratch.gone {
            put_uint(out, *id);
        }
        scratch.groups.write(out);
    }

    fn note_named(&mut self) {
        let named = self.gone_part();
        for (index, gone) in self.gone.iter_mut().enumerate() {
            gone.named = gone.named << 1 | u64::from(named.contains(&index));
        }
    }
}

/// Leaves in the list what fits, the most urgent first; what is left out becomes more urgent.
fn choose(pending: &mut Vec<Pending>, room: usize) {
    let wanted: usize = pending.iter().map(|pending| pending.bytes).sum();
    if wanted <= room {
        return;
    }
    pending.sort_unstable_by_key(|pending| (Reverse(pending.urgency), pending.index));
    let mut left = room;
    pending.retain(|pending| {
        let fits = pending.bytes <= left;
        if fits {
            left -= pending.bytes;
        }
        fits
    });
    pending.sort_unstable_by_key(|pending| pending.index);
}

impl Gone {
    fn new(id: u32) -> Self {
        Self { id, named: 0 }
    }
}

/// What a viewer is to an entity.
pub(crate) fn relation(seat: Seat, team: Option<u16>, actor: Actor) -> Relation {
    if actor.owner == Some(seat) {
        Relation::Owner
    } else if team.is_some() && actor.team == team {
        Relation::Team
    } else {
        Relation::All
    }
}

/// Ticks that an entity has waited for, times its priority; the own one waits for nobody.
fn urgency(buffer: &SnapshotBuffer, known: &Known, tick: u32) -> u32 {
    if known.relation == Relation::Owner {
        return u32::MAX;
    }
    let kind = usize::from(buffer.actor(known.slot).kind);
    let priority = u32::from(buffer.schema().kinds[kind].priority);
    let waited = tick.saturating_sub(known.told_tick);
    waited.saturating_mul(priority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_no_news() {
        let mut acked = Acked::default();
        assert_eq!(acked.add(3, 0b101), 0b101);
        assert_eq!(acked.add(3, 0b111), 0b010, "2 came late");
        assert_eq!(acked.add(5, 0b1101), 0b1, "5 is new, 3 and 2 are known");
        assert_eq!(acked.add(4, 0b11), 0b10, "seen from 5");
        assert_eq!(acked.newest, 5);
    }

    #[test]
    fn what_is_too_old_or_far_ahead_is_left_out() {
        let mut acked = Acked::default();
        assert_eq!(acked.add(1_000, 1), 1);
        assert_eq!(acked.add(900, 1), 0);
        assert_eq!(acked.add(2_000, 0b11), 0b11);
    }
}
