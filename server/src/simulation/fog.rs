//! Keeps from native clients what a game hides: an avatar is hidden from everybody but its own
//! player until somebody's sight finds it.
//!
//! It does not decide what is visible; [`Visibility`] does, and without it nothing is hidden.

use std::collections::BTreeMap;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use gameserver_shared::net_id::NetId;
use gameserver_shared::player::Avatar;
use gameserver_shared::send_schedule::is_common_send;
use gameserver_shared::snapshot::{SnapshotState, SnapshotSystems};
use gameserver_shared::stream::snapshot_buffer::Slot;
use gameserver_shared::visibility::Visibility;
use lightyear::prelude::{RemoteId, VisibilityExt};

use super::native::Native;
use super::seats::{Seats, peer_of};

/// What each native client was shown last, by link.
#[derive(Resource, Debug, Default)]
struct Lifted {
    by_link: BTreeMap<Entity, Vec<(u32, Slot)>>,
}

/// Adds the hiding, when the game hides something.
#[derive(Debug)]
pub(super) struct FogPlugin;

impl Plugin for FogPlugin {
    fn build(&self, app: &mut App) {
        if !app.world().contains_resource::<Visibility>() {
            return;
        }
        app.init_resource::<Lifted>()
            .add_observer(hide_new_avatar)
            .add_observer(forget_link)
            .add_systems(
                FixedPostUpdate,
                // lightyear sends in these ticks only.
                lift_fog
                    .in_set(SnapshotSystems::Send)
                    .run_if(is_common_send),
            );
    }
}

fn hide_new_avatar(
    added: On<Add, Avatar>,
    avatars: Query<&Avatar>,
    links: Query<(Entity, &RemoteId), With<Native>>,
    mut commands: Commands,
) {
    let owner = avatars.get(added.entity).map(|avatar| peer_of(avatar.seat));
    for (link, remote) in &links {
        if owner != Ok(remote.0) {
            commands.lose_visibility(added.entity, link);
        }
    }
}

/// Hides from a link that was just added what is there already, all but its own player's avatar.
/// lightyear gives a link its visibility, with nothing hidden, in response to `Connected`; what is
/// hidden from a link before that has no effect.
pub(super) fn hide_all_from_new_link(world: &mut World, link: Entity, own: Seat) {
    if !world.contains_resource::<Visibility>() {
        return;
    }
    let mut avatars = world.query::<(Entity, &Avatar)>();
    let foreign: Vec<_> = avatars
        .iter(world)
        .filter(|(_, avatar)| avatar.seat != own)
        .map(|row| row.0)
        .collect();
    for avatar in foreign {
        world.lose_visibility(avatar, link);
    }
}

fn forget_link(removed: On<Remove, Native>, mut lifted: ResMut<Lifted>) {
    lifted.by_link.remove(&removed.entity);
}

/// Shows what has come into sight, and hides what has gone out of it.
fn lift_fog(
    visibility: Res<Visibility>,
    shown: Res<SnapshotState>,
    seats: Res<Seats>,
    natives: Query<(), With<Native>>,
    mut lifted: ResMut<Lifted>,
    mut commands: Commands,
) {
    for (seat, link) in seats.connected() {
        if !natives.contains(link) {
            continue;
        }
        let before = lifted.by_link.entry(link).or_default();
        let now = visibility.of(seat);
        let is_own = |row: &(u32, Slot)| owner(&shown, row.1) == Some(seat);
        for row in now.iter().filter(|row| before.binary_search(row).is_err()) {
            if let Some(entity) = shown.entities.get(&NetId(row.0)) {
                commands.gain_visibility(*entity, link);
            }
        }
        for row in before.iter().filter(|row| now.binary_search(row).is_err()) {
            let entity = shown.entities.get(&NetId(row.0)).filter(|_| !is_own(row));
            if let Some(entity) = entity {
                commands.lose_visibility(*entity, link);
            }
        }
        before.clear();
        before.extend_from_slice(now);
    }
}

fn owner(shown: &SnapshotState, slot: Slot) -> Option<Seat> {
    shown.snapshots.actor(slot).owner
}
