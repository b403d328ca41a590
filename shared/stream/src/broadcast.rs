//! One view for many watchers, and for the match log: encoded once, each snapshot as differences
//! to what was sent before, for a channel that loses nothing.

use crate::frame::SNAPSHOT;
use crate::group::Groups;
use crate::record::Records;
use crate::schema::Relation;
use crate::snapshot_buffer::{Slot, SnapshotBuffer};
use crate::viewer::Seen;
use crate::wire::{put_array, put_nil, put_uint};

/// Most bytes of one frame: the length in front of it has 16 bits.
pub const FRAME_BYTES_MAX: usize = 60_000;

/// Left free for the last record and what stands around the groups.
const RESERVED_BYTES: usize = 1_024;

/// Entities that one snapshot forgets one by one; with more it is a key frame.
const GONE_MAX: usize = 4_096;

/// Whether a snapshot stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Everything; a watcher may begin here.
    KeyFrame,
    /// What changed since the snapshot before.
    Delta,
}

/// Who watches: everything as its owner sees it, or what a team sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// All entities with all fields.
    All,
    /// What this team sees.
    Team(u16),
}

/// The frames of one view.
#[derive(Debug)]
pub struct Broadcast {
    view: View,
    number: u32,
    last_tick: Option<u32>,
    shown: Vec<Shown>,
    // Kept from snapshot to snapshot so that nothing is allocated.
    next_shown: Vec<Shown>,
    gone: Vec<u32>,
    groups: Groups,
    out: Vec<u8>,
}

/// An entity that the watchers know.
#[derive(Debug, Clone, Copy)]
struct Shown {
    id: u32,
    slot: Slot,
    /// The snapshot that told of it last.
    told_tick: u32,
}

impl Broadcast {
    /// A view that nothing was shown of yet.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self {
            view,
            number: 0,
            last_tick: None,
            shown: Vec::new(),
            next_shown: Vec::new(),
            gone: Vec::new(),
            groups: Groups::default(),
            out: Vec::new(),
        }
    }

    /// Hands the frames of the present snapshot to `emit`: one, or several when there is much to
    /// say. A delta becomes a key frame when the snapshot before was not shown.
    pub fn write(
        &mut self,
        buffer: &SnapshotBuffer,
        records: &mut Records,
        seen: Seen<'_>,
        form: Form,
        mut emit: impl FnMut(&[u8], Form),
    ) {
        let Some(tick) = buffer.tick() else { return };
        let follows = self
            .last_tick
            .is_some_and(|last| last + buffer.interval() == tick);
        self.last_tick = Some(tick);
        self.look(seen.list(buffer), tick);
        let form = if follows && self.gone.len() <= GONE_MAX {
            form
        } else {
            Form::KeyFrame
        };
        if form == Form::KeyFrame {
            self.gone.clear();
        }
        self.groups.clear();
        let room = FRAME_BYTES_MAX - RESERVED_BYTES;
        let mut part = form;
        for index in 0..self.shown.len() {
            if self.groups.bytes() + 5 * self.gone.len() > room {
                self.finish_part(tick, part, &mut emit);
                part = Form::Delta;
            }
            self.tell(buffer, records, index, tick, form);
        }
        self.finish_part(tick, part, &mut emit);
    }

    /// Brings what is shown up to what is seen.
    fn look(&mut self, seen: &[(u32, Slot)], tick: u32) {
        self.next_shown.clear();
        self.gone.clear();
        let mut shown = self.shown.iter().copied().peekable();
        for (id, slot) in seen {
            while let Some(lost) = shown.next_if(|shown| shown.id < *id) {
                self.gone.push(lost.id);
            }
            let still = shown.next_if(|shown| shown.id == *id);
            self.next_shown.push(still.unwrap_or(Shown {
                id: *id,
                slot: *slot,
                // Nothing was told in the present snapshot yet: it has no baseline.
                told_tick: tick,
            }));
        }
        self.gone.extend(shown.map(|lost| lost.id));
        std::mem::swap(&mut self.shown, &mut self.next_shown);
    }

    /// Adds the record of one entity, if there is anything to say.
    fn tell(
        &mut self,
        buffer: &SnapshotBuffer,
        records: &mut Records,
        index: usize,
        tick: u32,
        form: Form,
    ) {
        let Shown {
            id,
            slot,
            told_tick,
        } = self.shown[index];
        let relation = self.relation(buffer, slot);
        let is_known = form == Form::Delta && told_tick < tick;
        if is_known && buffer.changed_tick(slot, relation) <= told_tick {
            return;
        }
        let baseline = Some(told_tick).filter(|_| is_known);
        let baseline = baseline.filter(|told| buffer.row_at(slot, *told).is_some());
        let record = records.get(buffer, slot, relation, baseline);
        let group = self.groups.of_age(baseline.map_or(0, |told| tick - told));
        self.groups.add(group, id, record, records.bytes(record));
        self.shown[index].told_tick = tick;
    }

    fn relation(&self, buffer: &SnapshotBuffer, slot: Slot) -> Relation {
        match self.view {
            View::All => Relation::Owner,
            View::Team(team) if buffer.actor(slot).team == Some(team) => Relation::Team,
            View::Team(_) => Relation::All,
        }
    }

    /// Hands out a frame. Only the first part of a snapshot forgets.
    fn finish_part(&mut self, tick: u32, form: Form, emit: &mut impl FnMut(&[u8], Form)) {
        self.number += 1;
        self.out.clear();
        put_array(&mut self.out, 6);
        put_uint(&mut self.out, SNAPSHOT);
        put_uint(&mut self.out, self.number);
        put_uint(&mut self.out, tick);
        put_nil(&mut self.out);
        match form {
            Form::KeyFrame => put_nil(&mut self.out),
            Form::Delta => {
                put_array(&mut self.out, self.gone.len());
                for id in &self.gone {
                    put_uint(&mut self.out, *id);
                }
            }
        }
        self.groups.write(&mut self.out);
        emit(&self.out, form);
        self.groups.clear();
        self.gone.clear();
    }
}
