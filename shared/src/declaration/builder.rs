//! Collects a game's declaration and finds what contradicts itself in it.

use std::any::TypeId;
use std::fmt::{self, Debug};

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use gameserver_stream::schema::{Kind, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use super::component::{DeclaredComponent, MatchState};
use super::error::DeclarationError;
use super::schema::StateSchema;
use crate::snapshot;
use crate::state::{self, Recorded};

/// A kind of entity that thin clients see.
pub(super) struct DeclaredKind {
    pub(super) name: &'static str,
    pub(super) priority: u8,
    pub(super) has_seat: bool,
    /// Indices of components; the first one decides which entities are of this kind.
    pub(super) members: Vec<usize>,
}

/// Collects what a game declares; [`Game::state`](crate::game::Game::state) fills it.
#[derive(Default)]
pub struct StateBuilder {
    pub(super) members: Vec<DeclaredComponent>,
    kinds: Vec<DeclaredKind>,
    resources: Vec<Recorded>,
    rules_hash: u64,
    error: Option<DeclarationError>,
}

impl Debug for StateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.members.iter().map(|member| member.name);
        f.debug_list().entries(names).finish()
    }
}

impl StateBuilder {
    /// Entities of players, as thin clients see them: the fields of its components, and last the
    /// field `seat`, by which a client knows its own.
    pub fn avatar(&mut self, name: &'static str) -> KindBuilder<'_> {
        self.add_kind(name, true)
    }

    /// Other entities that thin clients see.
    pub fn kind(&mut self, name: &'static str) -> KindBuilder<'_> {
        self.add_kind(name, false)
    }

    fn add_kind(&mut self, name: &'static str, has_seat: bool) -> KindBuilder<'_> {
        self.kinds.push(DeclaredKind {
            name,
            priority: 1,
            has_seat,
            members: Vec::new(),
        });
        KindBuilder { state: self }
    }

    /// A component that thin clients do not see.
    pub fn component<C: MatchState>(&mut self) -> &mut Self {
        self.add_member::<C>();
        self
    }

    /// A resource that decides ticks to come.
    pub fn resource<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        self.resources.push(Recorded::resource::<R>());
        self
    }

    /// The game's numbers, as it reads them: a match log of a game with other numbers cannot be
    /// verified.
    pub fn rules(&mut self, rules: &[u8]) -> &mut Self {
        self.rules_hash = xxh3_64(rules);
        self
    }

    fn add_member<C: MatchState>(&mut self) -> Option<usize> {
        let id = TypeId::of::<C>();
        if let Some(known) = self.members.iter().position(|member| member.id == id) {
            return Some(known);
        }
        match DeclaredComponent::of::<C>() {
            Ok(member) => self.members.push(member),
            Err(error) => {
                self.error.get_or_insert(error);
                return None;
            }
        }
        Some(self.members.len() - 1)
    }

    pub(super) fn finish<Motion: MatchState>(mut self) -> Result<StateSchema, DeclarationError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut names: Vec<_> = self.members.iter().map(|member| member.name).collect();
        names.extend(self.resources.iter().map(|resource| resource.name));
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DeclarationError::NameTwice { name: pair[0] });
        }
        let is_motion =
            |member: &DeclaredComponent| member.is_predicted && member.id == TypeId::of::<Motion>();
        if !self.members.iter().any(is_motion) {
            let component = state::short_name::<Motion>();
            return Err(DeclarationError::MotionNotPredicted { component });
        }
        let snapshots = self.snapshot_schema()?;
        let Self {
            members,
            kinds,
            mut resources,
            rules_hash,
            ..
        } = self;
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_unstable_by_key(|index| members[*index].name);
        resources.sort_unstable_by_key(|resource| resource.name);
        Ok(StateSchema {
            members,
            order,
            kinds,
            resources,
            rules_hash,
            snapshots,
        })
    }

    fn snapshot_schema(&self) -> Result<Schema, DeclarationError> {
        let mut schema = Schema::default();
        for (index, kind) in self.kinds.iter().enumerate() {
            let kind_name = kind.name;
            let Some(first) = kind.members.first() else {
                return Err(DeclarationError::EmptyKind { kind: kind_name });
            };
            let first_of = |other: &DeclaredKind| other.members.first() == Some(first);
            if self.kinds[..index].iter().any(first_of) {
                let component = self.members[*first].name;
                return Err(DeclarationError::TwoKinds { component });
            }
            let members = kind.members.iter().map(|member| &self.members[*member]);
            let mut fields: Vec<_> = members.flat_map(|member| member.fields.clone()).collect();
            if kind.has_seat {
                fields.push(snapshot::SEAT);
            }
            schema.add(Kind {
                name: kind_name,
                fields,
                priority: kind.priority,
            })?;
        }
        Ok(schema)
    }
}

/// Adds components to the kind that was declared last.
#[derive(Debug)]
pub struct KindBuilder<'a> {
    state: &'a mut StateBuilder,
}

impl KindBuilder<'_> {
    /// Entities of the kind have this component. The first one decides which are of the kind.
    pub fn with<C: MatchState>(&mut self) -> &mut Self {
        let added = self.state.add_member::<C>();
        if let (Some(member), Some(kind)) = (added, self.state.kinds.last_mut()) {
            if kind.members.contains(&member) {
                let component = state::short_name::<C>();
                let error = DeclarationError::ComponentTwice { component };
                self.state.error.get_or_insert(error);
            }
            kind.members.push(member);
        }
        self
    }

    /// How much sooner than others it is sent when not everything fits: 1 to 8, 1 unless set.
    pub fn priority(&mut self, priority: u8) -> &mut Self {
        if let Some(kind) = self.state.kinds.last_mut() {
            kind.priority = priority;
        }
        self
    }
}
