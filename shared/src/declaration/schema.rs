//! A game's whole state, and what the engine's plugins take from it.

use std::fmt::{self, Debug};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use gameserver_stream::schema::Schema;
use xxhash_rust::xxh3::xxh3_64;

use super::builder::{DeclaredKind, StateBuilder};
use super::component::{DeclaredComponent, FieldReader};
use super::error::DeclarationError;
use crate::game::Game;
use crate::snapshot;
use crate::state::Recorded;

/// A game's state, as it was declared and found to be free of contradictions.
pub struct StateSchema {
    pub(super) members: Vec<DeclaredComponent>,
    /// Indices of the components, by name: the order of registration on both sides.
    pub(super) order: Vec<usize>,
    pub(super) kinds: Vec<DeclaredKind>,
    pub(super) resources: Vec<Recorded>,
    pub(super) rules_hash: u64,
    pub(super) snapshots: Schema,
}

impl Debug for StateSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.sorted().map(|member| member.name);
        f.debug_list().entries(names).finish()
    }
}

impl StateSchema {
    /// Reads a game's declaration.
    ///
    /// # Errors
    ///
    /// The declaration contradicts itself.
    pub fn of<G: Game>() -> Result<Self, DeclarationError> {
        let mut state = StateBuilder::default();
        G::state(&mut state);
        state.finish::<G::Motion>()
    }

    /// The same for those who build an App of a game.
    ///
    /// # Panics
    ///
    /// When the declaration contradicts itself; a server refuses such a game before.
    #[must_use]
    #[expect(clippy::panic, reason = "no App can be built of such a game")]
    pub fn checked<G: Game>() -> Self {
        match Self::of::<G>() {
            Ok(schema) => schema,
            Err(error) => panic!("the state of the game contradicts itself: {error}"),
        }
    }

    fn sorted(&self) -> impl Iterator<Item = &DeclaredComponent> {
        self.order.iter().map(|index| &self.members[*index])
    }

    /// What thin clients, spectators and replays see.
    #[must_use]
    pub fn snapshots(&self) -> &Schema {
        &self.snapshots
    }

    /// One number for each component, by name: builds that declare it otherwise have another.
    pub fn component_hashes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let hash = |member: &DeclaredComponent| (member.name, xxh3_64(member.summary.as_bytes()));
        self.sorted().map(hash)
    }

    /// The whole declaration as one number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let components: Vec<_> = self.component_hashes().collect();
        xxh3_64(format!("{components:?} {:?}", self.snapshots).as_bytes())
    }

    /// Registers what native clients receive, on server and clients alike.
    pub(crate) fn replicate(&self, app: &mut App) {
        self.sorted().for_each(|member| (member.replicate)(app));
    }

    /// What the match log records, and the hash of the game's numbers.
    pub(crate) fn recorded(&self) -> (impl Iterator<Item = Recorded>, u64) {
        let components = self.sorted().map(|member| member.recorded);
        let recorded = components.chain(self.resources.iter().copied());
        (recorded, self.rules_hash)
    }

    /// How an avatar's field of that name is read.
    pub(crate) fn reading(&self, name: &str) -> Option<FieldReader> {
        let mut avatars = self.kinds.iter().filter(|kind| kind.has_seat);
        let members = avatars.next()?.members.iter();
        members
            .map(|member| &self.members[*member])
            .find_map(|member| {
                let mut fields = member.fields.iter();
                let index = fields.position(|field| field.name == name)?;
                Some((member.reading)(index))
            })
    }

    /// The systems that turn components into snapshots.
    pub(crate) fn capture_systems(&self) -> Vec<ScheduleConfigs<ScheduleSystem>> {
        let mut systems = Vec::new();
        for (kind, index) in self.kinds.iter().zip(0_u8..) {
            let mut offset = 0;
            systems.push((self.members[kind.members[0]].enter)(index));
            for member in kind.members.iter().map(|member| &self.members[*member]) {
                systems.push((member.capture)(index, offset));
                offset += member.fields.len();
            }
            if kind.has_seat {
                systems.push(snapshot::capture_seat(index, offset));
            }
        }
        systems
    }
}

/// The hash of the declared state, for the fingerprint of an App.
#[derive(Resource, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateSchemaHash(pub(crate) u64);
