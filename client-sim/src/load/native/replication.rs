//! As much of replicated state as a light bot reads: which message is to be acknowledged, which
//! tick it shows, and which entity is the own avatar.
//!
//! Layout (`bevy_replicon` 0.44.3, values in postcard's encoding). A message of mutations is
//! `flags (u8), index (u16, little-endian), tick of the update before it, tick (u32 each)`, then
//! what the flags name. One of updates is `flags (u8), tick (u32)`, then what its flags name, in
//! the order of their bits: user data, mappings, despawns, removals, changes. User data has its
//! length before it and is the server's tick (u32, little-endian). The others are lists with their
//! length before them, unless they are the last part of the message. Components of an entity have
//! their length in bytes before them; the first of the own avatar's is the marker of what is
//! predicted, because it decides how a client takes in the rest.
//!
//! Does not know what the components mean.

use bevy_ecs::prelude::Entity;
use bevy_replicon::postcard;
use bevy_replicon::shared::replication::registry::FnsId;
use bevy_replicon::shared::replicon_tick::RepliconTick;
use serde::Deserialize;

const USER_DATA: u8 = 1;
const MAPPINGS: u8 = 1 << 1;
const DESPAWNS: u8 = 1 << 2;
const REMOVALS: u8 = 1 << 3;
const CHANGES: u8 = 1 << 4;

/// Bytes that are no message of replicated state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of replicated state")]
pub(crate) struct Unreadable;

impl From<postcard::Error> for Unreadable {
    fn from(_: postcard::Error) -> Self {
        Self
    }
}

/// What a message of mutations says before the mutations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mutations {
    /// What acknowledges the message.
    pub(crate) index: [u8; 2],
    /// The tick whose state it brings.
    pub(crate) tick: u32,
}

impl Mutations {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut rest = Rest(bytes);
        let flags: u8 = rest.value()?;
        let index = rest.value()?;
        let _: (RepliconTick, RepliconTick) = rest.value()?;
        if flags & USER_DATA == 0 {
            return Err(Unreadable);
        }
        let tick = rest.block()?.try_into().map_err(|_| Unreadable)?;
        Ok(Self {
            index,
            tick: u32::from_le_bytes(tick),
        })
    }
}

/// The own avatar, as far as updates have named it.
#[derive(Debug, Default)]
pub(crate) struct OwnAvatar {
    entity: Option<Entity>,
    /// The newest update that changed it.
    updated_in: Option<u16>,
}

impl OwnAvatar {
    /// The server's name for it.
    pub(crate) fn entity(&self) -> Option<Entity> {
        self.entity
    }

    /// Reads an update. They may come in any order and twice.
    pub(crate) fn apply(
        &mut self,
        number: u16,
        bytes: &[u8],
        predicted: FnsId,
    ) -> Result<(), Unreadable> {
        let is_old = |newest: u16| number.wrapping_sub(newest) > i16::MAX.cast_unsigned();
        if self.updated_in.is_some_and(is_old) {
            return Ok(());
        }
        let before = self.entity;
        let mut rest = Rest(bytes);
        let flags: u8 = rest.value()?;
        let _: RepliconTick = rest.value()?;
        if flags & USER_DATA != 0 {
            rest.block()?;
        }
        for part in [MAPPINGS, DESPAWNS, REMOVALS, CHANGES] {
            if flags & part == 0 {
                continue;
            }
            let is_last = flags < part << 1;
            let mut left: usize = if is_last { usize::MAX } else { rest.value()? };
            while left > 0 && !(is_last && rest.0.is_empty()) {
                self.apply_entry(part, &mut rest, predicted)?;
                left -= 1;
            }
        }
        if self.entity != before {
            self.updated_in = Some(number);
        }
        Ok(())
    }

    fn apply_entry(
        &mut self,
        part: u8,
        rest: &mut Rest<'_>,
        predicted: FnsId,
    ) -> Result<(), Unreadable> {
        let Compact(entity) = rest.value()?;
        match part {
            MAPPINGS => drop(rest.value::<[u8; 8]>()?),
            DESPAWNS => {
                self.entity.take_if(|own| *own == entity);
            }
            REMOVALS => drop(rest.block()?),
            _ => {
                let mut components = Rest(rest.block()?);
                if !components.0.is_empty() && components.value::<FnsId>()? == predicted {
                    self.entity = Some(entity);
                }
            }
        }
        Ok(())
    }
}

/// An entity as replicon writes it.
#[derive(Deserialize)]
struct Compact(#[serde(with = "bevy_replicon::compact_entity")] Entity);

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn value<T: Deserialize<'a>>(&mut self) -> Result<T, Unreadable> {
        let (value, rest) = postcard::take_from_bytes(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    /// Bytes with their number before them.
    fn block(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.value()?;
        let (block, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use bevy_replicon::postcard_utils::{entity_to_extend_mut, to_extend_mut};
    use proptest::prelude::*;

    use super::*;

    /// The marker's number in these tests; numbers of components are varints.
    const PREDICTED: u8 = 0;

    fn predicted() -> FnsId {
        postcard::from_bytes(&[PREDICTED]).unwrap()
    }

    fn entity(index: u32) -> Entity {
        Entity::from_raw_u32(index).unwrap()
    }

    fn put_entity(bytes: &mut Vec<u8>, index: u32) {
        entity_to_extend_mut(&entity(index), bytes).unwrap();
    }

    /// An update of tick 300 that tells which entities are gone, and the components of others.
    fn update(gone: &[u32], changed: &[(u32, &[u8])]) -> Vec<u8> {
        let has = |flag, any: bool| if any { flag } else { 0 };
        let flags = USER_DATA | has(DESPAWNS, !gone.is_empty()) | has(CHANGES, !changed.is_empty());
        let mut bytes = vec![flags];
        to_extend_mut(&RepliconTick::new(100), &mut bytes).unwrap();
        bytes.push(4);
        bytes.extend(300_u32.to_le_bytes());
        if !gone.is_empty() && !changed.is_empty() {
            to_extend_mut(&gone.len(), &mut bytes).unwrap();
        }
        for index in gone {
            put_entity(&mut bytes, *index);
        }
        for (index, components) in changed {
            put_entity(&mut bytes, *index);
            to_extend_mut(&components.len(), &mut bytes).unwrap();
            bytes.extend_from_slice(components);
        }
        bytes
    }

    #[test]
    fn mutations_tell_their_tick_and_what_acknowledges_them() {
        let mut bytes = vec![USER_DATA | 2, 7, 1];
        to_extend_mut(&RepliconTick::new(500), &mut bytes).unwrap();
        to_extend_mut(&RepliconTick::new(501), &mut bytes).unwrap();
        bytes.extend([4, 44, 1, 0, 0, 1, 99, 99]);
        let index = 0x0107_u16.to_le_bytes();
        assert_eq!(Mutations::read(&bytes), Ok(Mutations { index, tick: 300 }));
        bytes[0] = 2;
        assert_eq!(Mutations::read(&bytes), Err(Unreadable));
    }

    #[test]
    fn the_own_avatar_is_the_one_that_is_predicted() {
        let mut own = OwnAvatar::default();
        let others = update(&[], &[(7, &[1, 3, 3]), (8, &[2])]);
        assert_eq!(own.apply(0, &others, predicted()), Ok(()));
        assert_eq!(own.entity(), None);
        let all = update(&[3, 4], &[(7, &[1, 3, 3]), (9, &[PREDICTED, 1, 3])]);
        assert_eq!(own.apply(1, &all, predicted()), Ok(()));
        assert_eq!(own.entity(), Some(entity(9)));
        own.apply(2, &update(&[7], &[]), predicted()).unwrap();
        assert_eq!(own.entity(), Some(entity(9)));
        own.apply(3, &update(&[9], &[]), predicted()).unwrap();
        assert_eq!(own.entity(), None);
    }

    #[test]
    fn an_update_that_was_overtaken_brings_no_avatar_back() {
        let mut own = OwnAvatar::default();
        let spawned = update(&[], &[(9, &[PREDICTED])]);
        own.apply(65_535, &spawned, predicted()).unwrap();
        own.apply(1, &update(&[9], &[]), predicted()).unwrap();
        own.apply(65_535, &spawned, predicted()).unwrap();
        assert_eq!(own.entity(), None);
        own.apply(2, &update(&[], &[(10, &[PREDICTED])]), predicted())
            .unwrap();
        assert_eq!(own.entity(), Some(entity(10)));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = update(&[3], &[(9, &[PREDICTED, 1, 3])]);
        let cut = &whole[..whole.len() - 1];
        let read = OwnAvatar::default().apply(0, cut, predicted());
        assert_eq!(read, Err(Unreadable));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Mutations::read(&bytes);
            let _ = OwnAvatar::default().apply(0, &bytes, predicted());
        }
    }
}
