//! Players who do not carry the simulation: their inputs come as frames, and they are sent the
//! snapshot stream. `docs/protocol.md` calls it thin mode.
//!
//! Once welcomed, a thin player is a player like any other: the game sees a seat and an avatar.

mod allowance;
mod inputs;
mod link;
mod snapshots;
pub(crate) mod talk;

use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::game::Game;
use gameserver_shared::send_schedule::SendSchedule;
use gameserver_shared::snapshot::{SnapshotState, SnapshotSystems};
use gameserver_transport::connection::Connection;
use lightyear::input::server::InputSystems;
use lightyear::prelude::LocalTimeline;

use super::events;
pub(super) use link::ThinLink;
pub use snapshots::StartFrame;

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
            .init_resource::<link::MatchChat>()
            .add_observer(inputs::expect_inputs::<G>)
            .add_observer(take_own_turn)
            .add_observer(give_turn_back)
            .add_systems(PreUpdate, link::receive_frames::<G>)
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
    added: On<Add, ThinLink>,
    links: Query<&ThinLink>,
    mut schedule: ResMut<SendSchedule>,
) {
    if let Ok(link) = links.get(added.entity) {
        schedule.assign_own(link.seat());
    }
}

/// Whoever connects to the seat again has the turn of their kind.
fn give_turn_back(
    removed: On<Remove, ThinLink>,
    links: Query<&ThinLink>,
    mut schedule: ResMut<SendSchedule>,
) {
    if let Ok(link) = links.get(removed.entity) {
        schedule.join_common(link.seat());
    }
}

/// Takes a welcomed thin client in: tells it what the numbers mean and how things stand.
pub(super) fn spawn_thin_link(world: &mut World, seat: Seat, connection: Connection) -> Entity {
    let tick = world.resource::<LocalTimeline>().tick().0;
    let start = world.resource::<StartFrame>().frame(tick);
    let ticks_per_s = world.resource::<MatchSettings>().tick_rate_hz.into();
    let snapshot_interval = world.resource::<SnapshotState>().snapshots.interval();
    for frame in std::iter::once(start).chain(events::standing(world)) {
        // A connection that has ended is noticed after the tick.
        let _ = connection.send_reliable(frame);
    }
    let link = ThinLink::new(
        connection,
        seat,
        Some(seat.0),
        (ticks_per_s, snapshot_interval),
    );
    world.spawn(link).id()
}
