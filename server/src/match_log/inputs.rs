//! Holds the inputs that a tick really used: collected while a match is recorded, applied when it
//! is replayed. It does not know where inputs come from or where they are written.

use std::collections::BTreeMap;
use std::ops::Range;

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use gameserver_shared::game::Game;
use gameserver_shared::input::PlayerAction;
use gameserver_shared::player::Avatar;

/// The inputs of one tick that differ from the tick before.
#[derive(Debug, Default)]
pub struct ChangedInputs {
    /// What each avatar did last. An avatar that is new has done nothing yet.
    previous: BTreeMap<Seat, (Entity, Vec<u8>)>,
    changed: Vec<(Seat, Range<usize>)>,
    bytes: Vec<u8>,
}

impl ChangedInputs {
    /// By seat.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Seat, &[u8])> {
        let bytes = &self.bytes;
        let changed = self.changed.iter();
        changed.map(|(seat, range)| (*seat, &bytes[range.clone()]))
    }

    /// Takes the inputs of a new tick instead.
    pub(super) fn replace<G: Game>(
        &mut self,
        avatars: &Query<(Entity, &Avatar, &PlayerAction<G::Input>)>,
    ) -> Result<(), BevyError> {
        self.changed.clear();
        self.bytes.clear();
        for (entity, avatar, action) in avatars {
            let start = self.bytes.len();
            rmp_serde::encode::write(&mut self.bytes, &action.0)?;
            self.add(avatar.seat, entity, start);
        }
        self.changed.sort_unstable_by_key(|row| row.0);
        Ok(())
    }

    /// Adds the input that was just appended at `start`, unless it is the one of the tick before.
    fn add(&mut self, seat: Seat, avatar: Entity, start: usize) {
        let input = &self.bytes[start..];
        let empty = || (avatar, Vec::new());
        let previous = self.previous.entry(seat).or_insert_with(empty);
        if previous.0 == avatar && previous.1 == input {
            self.bytes.truncate(start);
            return;
        }
        previous.0 = avatar;
        previous.1.clear();
        previous.1.extend_from_slice(input);
        self.changed.push((seat, start..self.bytes.len()));
    }
}

/// Where this resource is, avatars follow its inputs instead of those of connections.
#[derive(Resource, Debug, Default)]
pub struct ReplayedInputs {
    /// The inputs that change in the next tick; emptied by it.
    pub changed: Vec<(Seat, Vec<u8>)>,
    /// An input could not be read, or nobody is there to follow it.
    pub refused: Option<Seat>,
}

/// Runs before anything reads an input.
pub(super) fn follow_inputs<G: Game>(
    mut inputs: ResMut<ReplayedInputs>,
    mut avatars: Query<(&Avatar, &mut PlayerAction<G::Input>)>,
) {
    for (seat, bytes) in std::mem::take(&mut inputs.changed) {
        let found = avatars.iter_mut().find(|(avatar, _)| avatar.seat == seat);
        match (found, rmp_serde::from_slice(&bytes)) {
            (Some((_, mut action)), Ok(input)) => action.0 = input,
            (None, _) | (_, Err(_)) => inputs.refused = Some(seat),
        }
    }
}
