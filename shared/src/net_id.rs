//! Numbers that name entities in a match: the same on every run, unlike Bevy's own.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::player::Avatar;

/// Names an entity in its match; a number is used once. Whatever reaches outputs is done in this
/// order or in the order of seats, because the order of Bevy's tables depends on things that are
/// not part of a match, such as who is connected.
///
/// Avatars get one by themselves. A game that spawns other entities which count for a match gives
/// them one from [`NetIds`].
#[derive(
    Component, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NetId(pub u32);

impl NetId {
    /// The match itself: the entity of its status.
    pub const MATCH: Self = Self(0);
}

/// Gives numbers away, from 1.
#[derive(Resource, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetIds {
    given: u32,
}

impl NetIds {
    /// A number that nobody had.
    pub fn give(&mut self) -> NetId {
        self.given += 1;
        NetId(self.given)
    }
}

/// Numbers the avatars as they are spawned.
#[derive(Debug)]
pub struct NetIdPlugin;

impl Plugin for NetIdPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<NetIds>().add_observer(number_avatar);
    }
}

/// One that has a number keeps it: a restored avatar has its old one.
fn number_avatar(
    added: On<Add, Avatar>,
    unnumbered: Query<(), Without<NetId>>,
    mut ids: ResMut<NetIds>,
    mut commands: Commands,
) {
    if unnumbered.contains(added.entity) {
        commands.entity(added.entity).insert(ids.give());
    }
}
