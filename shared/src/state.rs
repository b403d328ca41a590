//! What the state of a match is: a list of components and resources that together decide every
//! tick to come, given its inputs. It is hashed every tick for whoever records or checks the
//! match, saved as a key frame, and restored into a freshly built App.
//!
//! What is not on the list must not decide anything: no `Local` of a system, no message that
//! lives longer than its tick, and no change detection, because a restored component is new.
//!
//! It knows no files and no log.

use std::fmt;

use bevy_app::prelude::*;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use bevy_ecs::query::QueryState;
use lightyear::prelude::LocalTimeline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::declaration::StateSchema;
use crate::determinism::MatchRng;
use crate::flow::{Departed, MatchStatus};
use crate::game::Game;
use crate::input::PlayerAction;
use crate::net_id::{NetId, NetIds};
use crate::player::{Avatar, Roster};
use crate::tick::TickSystems;

/// Entities in the order of their numbers.
type Order = [(NetId, Entity)];

/// What makes up a match's state, in the order of registration.
#[derive(Resource, Default)]
pub struct StateRegistry {
    kinds: Vec<Recorded>,
    rules_hash: u64,
    numbered: Option<QueryState<(&'static NetId, Entity)>>,
    order: Vec<(NetId, Entity)>,
    bytes: Vec<u8>,
}

impl fmt::Debug for StateRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.kinds.iter().map(|kind| kind.name);
        f.debug_list().entries(names).finish()
    }
}

/// One component or resource.
#[derive(Clone, Copy)]
pub(crate) struct Recorded {
    pub(crate) name: &'static str,
    purpose: Purpose,
    write: fn(&World, &Order, &mut Vec<u8>) -> Result<(), EncodeFailure>,
    restore: fn(&mut World, &Order, &[u8]) -> Result<(), DecodeFailure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    HashedAndSaved,
    /// It follows from what the log has anyway, or changes every tick by itself.
    Saved,
}

type EncodeFailure = rmp_serde::encode::Error;
type DecodeFailure = rmp_serde::decode::Error;

/// The hashes of the last tick. Where this resource is, [`TickSystems::HashState`] fills it.
#[derive(Resource, Debug, Clone, PartialEq, Eq, Default)]
pub struct StateHashes {
    /// One for each name in [`StateRegistry::hashed_names`].
    pub values: Vec<u32>,
}

/// Why a state was not saved or restored.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A value does not want to be written.
    #[error("save the state of {name}")]
    Encode {
        /// Of which kind.
        name: &'static str,
        /// What it says.
        source: EncodeFailure,
    },
    /// A saved value cannot be read.
    #[error("restore the state of {name}")]
    Decode {
        /// Of which kind.
        name: &'static str,
        /// What is wrong with it.
        source: DecodeFailure,
    },
    /// The saved state is cut off, or has too much.
    #[error("read a saved state")]
    Malformed,
    /// It was saved by a build that has other state.
    #[error("restore what another build has saved")]
    OtherLayout,
}

/// What the engine's own plugins call; games declare their state.
pub trait RecordState {
    /// The resource is state.
    fn record_resource<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Serialize + DeserializeOwned;
}

impl RecordState for App {
    fn record_resource<R>(&mut self) -> &mut Self
    where
        R: Resource<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        registry(self).kinds.push(Recorded::resource::<R>());
        self
    }
}

fn registry(app: &mut App) -> Mut<'_, StateRegistry> {
    app.init_resource::<StateRegistry>();
    app.world_mut().resource_mut::<StateRegistry>()
}

/// The last part of a type's path.
pub(crate) fn short_name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    path.rsplit("::").next().unwrap_or(path)
}

/// Registers the engine's own state and hashes all of it, in every match.
#[derive(Debug)]
pub struct StatePlugin<G: Game>(std::marker::PhantomData<G>);

impl<G: Game> Default for StatePlugin<G> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<G: Game> Plugin for StatePlugin<G> {
    fn build(&self, app: &mut App) {
        // Avatars first: when one is restored, what the engine adds to every avatar comes with
        // it, and is overwritten by what follows.
        let inputs = Recorded {
            name: "Input",
            purpose: Purpose::Saved,
            ..Recorded::component::<PlayerAction<G::Input>>()
        };
        let mut registry = registry(app);
        registry.kinds.extend([
            Recorded::component::<Avatar>(),
            inputs,
            Recorded::component::<MatchStatus>(),
            Recorded::resource::<MatchRng>(),
            Recorded::resource::<Roster>(),
            Recorded::resource::<Departed>(),
            Recorded::resource::<NetIds>(),
        ]);
        let declared = StateSchema::checked::<G>();
        let (recorded, rules_hash) = declared.recorded();
        registry.kinds.extend(recorded);
        registry.rules_hash = rules_hash;
        app.add_systems(
            FixedUpdate,
            hash_state
                .run_if(resource_exists::<StateHashes>)
                .in_set(TickSystems::HashState),
        );
    }
}

impl StateRegistry {
    /// What is hashed, in the order of the hashes.
    pub fn hashed_names(&self) -> impl Iterator<Item = &'static str> {
        self.hashed().map(|kind| kind.name)
    }

    /// The game's numbers, as one.
    #[must_use]
    pub fn rules_hash(&self) -> u64 {
        self.rules_hash
    }

    fn hashed(&self) -> impl Iterator<Item = &Recorded> {
        let kinds = self.kinds.iter();
        kinds.filter(|kind| kind.purpose == Purpose::HashedAndSaved)
    }

    /// What was registered, as one number.
    fn layout(&self) -> u64 {
        let names: Vec<_> = self.kinds.iter().map(|kind| kind.name).collect();
        xxh3_64(names.join("\0").as_bytes())
    }

    /// Brings the entities into their order. Takes no memory once it has seen as many.
    fn put_in_order(&mut self, world: &mut World) {
        let numbered = self.numbered.get_or_insert_with(|| world.query());
        self.order.clear();
        let rows = numbered.iter(world);
        self.order.extend(rows.map(|(id, entity)| (*id, entity)));
        self.order.sort_unstable();
    }

    fn hash_into(&mut self, world: &mut World, hashes: &mut Vec<u32>) -> Result<(), StateError> {
        self.put_in_order(world);
        hashes.clear();
        let Self {
            kinds,
            order,
            bytes,
            ..
        } = self;
        let compared = kinds
            .iter()
            .filter(|kind| kind.purpose == Purpose::HashedAndSaved);
        for kind in compared {
            bytes.clear();
            kind.write(world, order, bytes)?;
            hashes.push(truncated(xxh3_64(bytes)));
        }
        Ok(())
    }

    fn save(&mut self, world: &mut World) -> Result<Vec<u8>, StateError> {
        self.put_in_order(world);
        let tick = world.resource::<LocalTimeline>().tick().0;
        let mut saved = self.layout().to_be_bytes().to_vec();
        saved.extend(tick.to_be_bytes());
        saved.extend(length_of(self.order.len()));
        for (id, _) in &self.order {
            saved.extend(id.0.to_be_bytes());
        }
        for kind in &self.kinds {
            self.bytes.clear();
            kind.write(world, &self.order, &mut self.bytes)?;
            saved.extend(length_of(self.bytes.len()));
            saved.extend_from_slice(&self.bytes);
        }
        Ok(saved)
    }

    fn restore(&mut self, world: &mut World, saved: &[u8]) -> Result<u32, StateError> {
        let mut saved = Saved(saved);
        if u64::from_be_bytes(saved.take()?) != self.layout() {
            return Err(StateError::OtherLayout);
        }
        let tick = saved.number()?;
        let mut ids = Vec::new();
        for _ in 0..saved.number()? {
            ids.push(NetId(saved.number()?));
        }
        self.make_entities(world, &ids);
        for kind in &self.kinds {
            let length = usize::try_from(saved.number()?).map_err(|_| StateError::Malformed)?;
            let bytes = saved.bytes(length)?;
            (kind.restore)(world, &self.order, bytes).map_err(|source| StateError::Decode {
                name: kind.name,
                source,
            })?;
        }
        if !saved.0.is_empty() {
            return Err(StateError::Malformed);
        }
        let mut timeline = world.resource_mut::<LocalTimeline>();
        let ahead = tick.wrapping_sub(timeline.tick().0).cast_signed();
        timeline.apply_delta(ahead);
        Ok(tick)
    }

    /// Spawns the entities that are missing and despawns those that are too many.
    fn make_entities(&mut self, world: &mut World, ids: &[NetId]) {
        self.put_in_order(world);
        for (id, entity) in &self.order {
            if !ids.contains(id) {
                world.despawn(*entity);
            }
        }
        for id in ids {
            if self.order.binary_search_by_key(id, |row| row.0).is_err() {
                world.spawn(*id);
            }
        }
        self.put_in_order(world);
    }
}

impl Recorded {
    /// On every entity that has a [`NetId`].
    pub(crate) fn component<C>() -> Self
    where
        C: Component<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        Self {
            name: short_name::<C>(),
            purpose: Purpose::HashedAndSaved,
            write: write_component::<C>,
            restore: restore_component::<C>,
        }
    }

    pub(crate) fn resource<R>() -> Self
    where
        R: Resource<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        Self {
            name: short_name::<R>(),
            purpose: Purpose::HashedAndSaved,
            write: write_resource::<R>,
            restore: restore_resource::<R>,
        }
    }

    fn write(&self, world: &World, order: &Order, out: &mut Vec<u8>) -> Result<(), StateError> {
        (self.write)(world, order, out).map_err(|source| StateError::Encode {
            name: self.name,
            source,
        })
    }
}

fn hash_state(world: &mut World) -> Result<(), BevyError> {
    world.resource_scope(|world, mut registry: Mut<'_, StateRegistry>| {
        let mut hashes = std::mem::take(&mut *world.resource_mut::<StateHashes>());
        let done = registry.hash_into(world, &mut hashes.values);
        *world.resource_mut::<StateHashes>() = hashes;
        Ok(done?)
    })
}

/// The whole state, to be restored into a freshly built App of the same game and build. Call it
/// between ticks.
///
/// # Errors
///
/// A value does not want to be written.
pub fn save(world: &mut World) -> Result<Vec<u8>, StateError> {
    world.resource_scope(|world, mut registry: Mut<'_, StateRegistry>| registry.save(world))
}

/// Makes the world what it was when `saved` was made, and tells its tick. Call it between ticks.
/// After an error the world is neither.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn restore(world: &mut World, saved: &[u8]) -> Result<u32, StateError> {
    let restore =
        |world: &mut World, mut registry: Mut<'_, StateRegistry>| registry.restore(world, saved);
    world.resource_scope(restore)
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn truncated(hash: u64) -> u32 {
    hash as u32
}

fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// How many, then number and value of each entity that has it.
fn write_component<C: Component + Serialize>(
    world: &World,
    order: &Order,
    out: &mut Vec<u8>,
) -> Result<(), EncodeFailure> {
    let start = out.len();
    out.extend([0; 4]);
    let mut count = 0_usize;
    for (id, entity) in order {
        let Some(value) = world.get::<C>(*entity) else {
            continue;
        };
        rmp_serde::encode::write(out, id)?;
        rmp_serde::encode::write(out, value)?;
        count += 1;
    }
    out[start..start + 4].copy_from_slice(&length_of(count));
    Ok(())
}

fn restore_component<C>(world: &mut World, order: &Order, bytes: &[u8]) -> Result<(), DecodeFailure>
where
    C: Component<Mutability = Mutable> + DeserializeOwned,
{
    let mut saved = Saved(bytes);
    let count = saved.number().map_err(|_| DecodeFailure::OutOfRange)?;
    let mut values = rmp_serde::Deserializer::from_read_ref(saved.0);
    for _ in 0..count {
        let id: NetId = serde::Deserialize::deserialize(&mut values)?;
        let value: C = serde::Deserialize::deserialize(&mut values)?;
        let found = order.binary_search_by_key(&id, |row| row.0);
        let row = found.map_err(|_| DecodeFailure::OutOfRange)?;
        world.entity_mut(order[row].1).insert(value);
    }
    Ok(())
}

/// Nothing for a resource that is not there.
fn write_resource<R: Resource + Serialize>(
    world: &World,
    _: &Order,
    out: &mut Vec<u8>,
) -> Result<(), EncodeFailure> {
    match world.get_resource::<R>() {
        Some(value) => rmp_serde::encode::write(out, value),
        None => Ok(()),
    }
}

fn restore_resource<R>(world: &mut World, _: &Order, bytes: &[u8]) -> Result<(), DecodeFailure>
where
    R: Resource<Mutability = Mutable> + DeserializeOwned,
{
    if bytes.is_empty() {
        world.remove_resource::<R>();
    } else {
        let value: R = rmp_serde::from_slice(bytes)?;
        world.insert_resource(value);
    }
    Ok(())
}

/// What is left to read of a saved state.
struct Saved<'a>(&'a [u8]);

impl<'a> Saved<'a> {
    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], StateError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(StateError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u32, StateError> {
        self.take().map(u32::from_be_bytes)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let split = self.0.split_at_checked(length);
        let (taken, rest) = split.ok_or(StateError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}
