//! Records of one snapshot, grouped by the state that they are a difference to.

use crate::record::Record;
use crate::wire::{put_array, put_uint};

/// Most bytes that a group needs around its records: its age, its length.
pub(crate) const GROUP_BYTES: usize = 8;

#[derive(Debug, Default)]
struct Group {
    age: u32,
    last_id: u32,
    integers: usize,
    bytes: Vec<u8>,
}

/// The groups of a snapshot. Reused for the next one, so that nothing is allocated once they have
/// been as large as they get.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    used: usize,
}

impl Groups {
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// How many groups there are.
    pub(crate) fn count(&self) -> usize {
        self.used
    }

    /// The group of that age, in ticks; 0 is for whole entities.
    pub(crate) fn of_age(&mut self, age: u32) -> usize {
        let used = &self.groups[..self.used];
        if let Some(index) = used.iter().position(|group| group.age == age) {
            return index;
        }
        if self.used == self.groups.len() {
            self.groups.push(Group::default());
        }
        let group = &mut self.groups[self.used];
        group.age = age;
        group.last_id = 0;
        group.integers = 0;
        group.bytes.clear();
        self.used += 1;
        self.used - 1
    }

    /// Adds a record to a group. Ids have to ascend.
    pub(crate) fn add(&mut self, group: usize, id: u32, record: Record, bytes: &[u8]) {
        let group = &mut self.groups[group];
        put_uint(&mut group.bytes, id - group.last_id);
        group.bytes.extend_from_slice(bytes);
        group.last_id = id;
        group.integers += 1 + usize::from(record.integers);
    }

    /// Bytes of everything so far, at most.
    pub(crate) fn bytes(&self) -> usize {
        let groups = &self.groups[..self.used];
        groups
            .iter()
            .map(|group| GROUP_BYTES + group.bytes.len())
            .sum()
    }

    /// Writes the groups that have records.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let written = || {
            let used = &self.groups[..self.used];
            used.iter().filter(|group| group.integers > 0)
        };
        put_array(out, 2 * written().count());
        for group in written() {
            put_uint(out, group.age);
            put_array(out, group.integers);
            out.extend_from_slice(&group.bytes);
        }
    }
}
