//! What a client knows of each entity. Their ids lie together, apart from the rest, and all of it
//! in the order of the ids, as snapshots name them: who reads one walks through memory instead of
//! jumping about in it. It knows no frame.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::history::{DecodedSnapshot, State};

/// Values of one state; those of most kinds need no allocation of their own.
type Row = SmallVec<[u32; 12]>;

/// An entity that the client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Index of its kind.
    pub kind: usize,
    /// The first tick in which it was told of; what was before says nothing of it.
    pub(crate) since: u32,
    tick: u32,
    values: Row,
}

impl Entity {
    fn new(kind: usize, tick: u32) -> Self {
        Self {
            kind,
            since: tick,
            tick,
            values: Row::new(),
        }
    }

    /// The newest values, one for each field of the kind.
    #[must_use]
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// The tick of the newest values.
    #[must_use]
    pub fn tick(&self) -> u32 {
        self.tick
    }

    fn take_in(&mut self, state: State<'_>, tick: u32) {
        if self.kind != state.kind {
            // Told of twice in one snapshot, as two kinds: the last one counts.
            (self.kind, self.since) = (state.kind, tick);
        }
        self.tick = tick;
        self.values.clear();
        self.values.extend_from_slice(state.values);
    }
}

/// All that a client knows, ascending by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entities {
    ids: Vec<u32>,
    /// In the order of the ids.
    known: Vec<Entity>,
    /// Those who come with a snapshot, with their kinds; empty in between.
    new: Vec<(u32, usize)>,
}

impl Entities {
    /// What is known of this one.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Entity> {
        self.index(id).map(|index| &self.known[index])
    }

    /// The ids, ascending.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// All of them, ascending by id.
    #[must_use]
    pub fn all(&self) -> &[Entity] {
        &self.known
    }

    /// All of them with their ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Entity)> {
        self.ids.iter().copied().zip(&self.known)
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True when none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn index(&self, id: u32) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.known.clear();
    }

    /// Forgets these.
    pub(crate) fn forget(&mut self, gone: &BTreeSet<u32>) {
        if gone.is_empty() {
            return;
        }
        let mut kept = 0;
        for index in 0..self.len() {
            if !gone.contains(&self.ids[index]) {
                self.move_entity(index, kept);
                kept += 1;
            }
        }
        self.ids.truncate(kept);
        self.known.truncate(kept);
    }

    /// Takes in what a snapshot told, in the order of the ids.
    pub(crate) fn take_in(&mut self, told: &DecodedSnapshot) {
        self.take_known_in(told);
        if self.new.is_empty() {
            return;
        }
        let mut new = std::mem::take(&mut self.new);
        new.dedup_by_key(|new| new.0);
        self.insert(&new, told.tick);
        new.clear();
        self.new = new;
        self.take_known_in(told);
    }

    /// Takes in what is told of those who are known, and notes the others.
    fn take_known_in(&mut self, told: &DecodedSnapshot) {
        for state in told.states() {
            match self.index(state.id) {
                Some(index) => self.known[index].take_in(state, told.tick),
                None => self.new.push((state.id, state.kind)),
            }
        }
    }

    /// Adds these, which ascend and are not known yet. Each of the others moves once at most,
    /// however many come.
    fn insert(&mut self, new: &[(u32, usize)], tick: u32) {
        let mut from = self.len();
        self.ids.resize(from + new.len(), 0);
        self.known.resize(from + new.len(), Entity::new(0, tick));
        for (before, (id, kind)) in new.iter().enumerate().rev() {
            while from > 0 && self.ids[from - 1] > *id {
                from -= 1;
                self.move_entity(from, from + before + 1);
            }
            self.ids[from + before] = *id;
            self.known[from + before] = Entity::new(*kind, tick);
        }
    }

    /// What was at its new place is of no more use.
    fn move_entity(&mut self, from: usize, to: usize) {
        self.ids.swap(from, to);
        self.known.swap(from, to);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The same by the book.
    #[derive(Default)]
    struct Model(BTreeMap<u32, (usize, u32, u32, Vec<u32>)>);

    impl Model {
        fn take_in(&mut self, tick: u32, states: &[(u32, usize, u32)]) {
            for (id, kind, value) in states {
                let since = match self.0.get(id) {
                    Some((before, since, ..)) if before == kind => *since,
                    _ => tick,
                };
                self.0.insert(*id, (*kind, since, tick, vec![*value]));
            }
        }
    }

    fn told(tick: u32, states: &[(u32, usize, u32)]) -> DecodedSnapshot {
        let mut told = DecodedSnapshot::default();
        told.begin(tick);
        for (id, kind, value) in states {
            told.add(*id, *kind, [*value]);
        }
        told.sort();
        told
    }

    fn assert_same(entities: &Entities, model: &Model) {
        let known = entities.iter().map(|(id, entity)| {
            let Entity {
                kind,
                since,
                tick,
                values,
            } = entity;
            (id, (*kind, *since, *tick, values.to_vec()))
        });
        let expected: Vec<_> = model.0.clone().into_iter().collect();
        assert_eq!(known.collect::<Vec<_>>(), expected);
        for id in 0..40 {
            let values = entities.get(id).map(|entity| entity.values().to_vec());
            assert_eq!(values, model.0.get(&id).map(|row| row.3.clone()), "{id}");
        }
    }

    proptest! {
        #[test]
        fn they_come_and_go_as_in_a_map(
            snapshots in prop::collection::vec(
                (
                    prop::collection::btree_set(0_u32..40, 0..8),
                    prop::collection::vec((0_u32..40, 0_usize..2, any::<u32>()), 0..30),
                ),
                1..20,
            ),
        ) {
            let (mut entities, mut model) = (Entities::default(), Model::default());
            for (tick, (gone, states)) in (1..).zip(&snapshots) {
                entities.forget(gone);
                model.0.retain(|id, _| !gone.contains(id));
                entities.take_in(&told(tick, states));
                model.take_in(tick, states);
                assert_same(&entities, &model);
            }
        }
    }
}
