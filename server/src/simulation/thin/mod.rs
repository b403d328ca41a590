//! Clients that do not run the simulation: their inputs come as frames, and they are sent the
//! snapshot stream. `docs/protocol.md` calls it thin mode.
//!
//! Once welcomed, a thin player is a player like any other: the game sees a seat and an avatar.

mod chat;
mod client;
mod frames;
mod inputs;
mod snapshots;

use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bytes::Bytes;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::game::Game;
use gameserver_shared::send_schedule::SendSchedule;
use gameserver_shared::snapshot::{SnapshotState, SnapshotSystems};
use lightyear::input::server::InputSystems;
use lightyear::prelude::LocalTimeline;

pub(super) use client::Thin;
pub use snapshots::StartFrame;

use super::client_link::ClientLink;

/// Adds thin mode.
#[derive(Debug)]
pub(super) struct ThinPlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for ThinPlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for ThinPlugin<G> {
    fn build(&self, app: &mut App) {
        let start = StartFrame::of::<G>(&app.world().resource::<SnapshotState>().snapshots);
        app.insert_resource(start)
            .init_resource::<snapshots::FrameBuffer>()
            .init_resource::<chat::MatchChat>()
            .add_observer(inputs::add_inputs::<G>)
            .add_observer(take_own_turn)
            .add_observer(give_turn_back)
            .add_systems(PreUpdate, frames::receive_frames::<G>)
            .add_systems(
                FixedPreUpdate,
                inputs::apply_inputs::<G>.after(InputSystems::UpdateActionState),
            )
            .add_systems(
                FixedPostUpdate,
                snapshots::send_snapshots.in_set(SnapshotSystems::Send),
            );
    }
}

fn take_own_turn(
    added: On<Add, Thin>,
    links: Query<&ClientLink>,
    mut schedule: ResMut<SendSchedule>,
) {
    if let Ok(link) = links.get(added.entity) {
        schedule.assign_own(link.seat());
    }
}

/// Whoever connects to the seat again has the turn of their kind.
fn give_turn_back(
    removed: On<Remove, Thin>,
    links: Query<&ClientLink>,
    mut schedule: ResMut<SendSchedule>,
) {
    if let Ok(link) = links.get(removed.entity) {
        schedule.join_common(link.seat());
    }
}

/// Adds a welcomed thin client: sends it what the numbers mean, and then these events.
pub(super) fn spawn(world: &mut World, client: ClientLink, standing: Vec<Bytes>) -> Entity {
    let tick = world.resource::<LocalTimeline>().tick().0;
    let start = world.resource::<StartFrame>().frame(tick);
    for frame in std::iter::once(start).chain(standing) {
        // A connection that has ended is noticed after the tick.
        let _ = client.connection().send_reliable(frame);
    }
    let ticks_per_s = world.resource::<MatchSettings>().tick_rate_hz.into();
    let snapshot_interval = world.resource::<SnapshotState>().snapshots.interval();
    let thin = Thin::new(&client, ticks_per_s, snapshot_interval);
    world.spawn((client, thin)).id()
}
