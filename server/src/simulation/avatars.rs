//! Turns the avatars that a game's rules spawn into replicated, predicted, controlled entities.

use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_shared::game::Game;
use gameserver_shared::input::PlayerAction;
use gameserver_shared::player::{Avatar, InputLateness, Simulated};
use lightyear::prelude::input::native::NativeBuffer;
use lightyear::prelude::{
    ControlledBy, InterpolationTarget, Lifetime, NetworkTarget, PredictionTarget, Replicate,
};
use lightyear_replication::control::ControlledSend;

use super::seats::{Seats, peer_of};

/// Adds what makes an avatar an avatar.
#[derive(Debug)]
pub(super) struct AvatarPlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for AvatarPlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for AvatarPlugin<G> {
    fn build(&self, app: &mut App) {
        app.add_observer(publish_avatar::<G>)
            .add_observer(reset_input::<G>)
            .add_observer(disown_avatar);
    }
}

fn publish_avatar<G: Game>(
    added: On<Add, Avatar>,
    avatars: Query<&Avatar>,
    seats: Res<Seats>,
    mut commands: Commands,
) {
    let Ok(avatar) = avatars.get(added.entity) else {
        return;
    };
    let peer = peer_of(avatar.seat);
    commands.entity(added.entity).insert((
        Simulated,
        InputLateness::default(),
        PlayerAction::<G::Input>::default(),
        Replicate::to_clients(NetworkTarget::All),
        PredictionTarget::to_clients(NetworkTarget::Single(peer)),
        InterpolationTarget::to_clients(NetworkTarget::AllExceptSingle(peer)),
    ));
    if let Some(owner) = seats.link_of(avatar.seat) {
        commands.entity(added.entity).insert(controlled_by(owner));
    }
}

/// Nobody controls an avatar whose owner's link has ended. lightyear takes [`ControlledBy`] away
/// with the link, which is also what hid from all others that the avatar is controlled: each of
/// them would take it for their own, and send inputs for it, which the guard refuses together with
/// their own ones.
fn disown_avatar(removed: On<Remove, ControlledBy>, mut commands: Commands) {
    commands
        .entity(removed.entity)
        .try_remove::<ControlledSend>();
}

/// Asks that an avatar stop doing what its player did last.
#[derive(EntityEvent, Debug, Clone, Copy)]
pub(super) struct ResetInput {
    pub(super) entity: Entity,
}

fn reset_input<G: Game>(reset: On<ResetInput>, mut commands: Commands) {
    // Without its buffer lightyear has nothing to repeat; the next message makes a new one.
    commands
        .entity(reset.entity)
        .insert(PlayerAction::<G::Input>::default())
        .remove::<NativeBuffer<G::Input>>();
}

/// The avatar outlives the connection: its player may resume.
pub(super) fn controlled_by(owner: Entity) -> ControlledBy {
    ControlledBy {
        owner,
        lifetime: Lifetime::Persistent,
    }
}
