//! Turns declared components into the snapshot stream, in every tick that is shown to anybody
//! ([`SendSchedule`]).
//!
//! It knows no viewer. Server only, but a replay may use it as well.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use gameserver_stream::record::Records;
use gameserver_stream::snapshot_buffer::{Actor, Slot, SnapshotBuffer};

pub use gameserver_stream::schema::{Audience, Field};

use crate::declaration::{Declaration, MatchState, StateSchema};
use crate::flow::{MatchPhase, MatchStatus};
use crate::game::Game;
use crate::net_id::NetId;
use crate::player::Avatar;
use crate::send_schedule::{SendSchedule, is_any_send_due};
use crate::tick::CurrentTick;

/// What happens in a tick that is shown to anybody, in this order, in [`FixedPostUpdate`].
#[derive(SystemSet, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotSystems {
    /// New entities are given their place.
    Enter,
    /// Components become numbers.
    Capture,
    /// What has changed is known.
    Finish,
    /// The game decides who sees what.
    UpdateVisibility,
    /// What must see the finished snapshot.
    Send,
}

/// How a client knows its own avatar.
pub(crate) const SEAT: Field = Field::integer("seat", 65_535);

/// The team that an entity belongs to. Without one, a player is a team of its own: the number of
/// the seat.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team(pub u16);

/// The entity's place in the snapshots; inserted by the engine.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotSlot(pub Slot);

/// The state that the snapshots show. Server only.
#[derive(Resource, Debug)]
pub struct SnapshotState {
    /// The quantised state, now and a little while ago.
    pub snapshots: SnapshotBuffer,
    /// What was encoded of the present capture.
    pub records: Records,
    /// The entities behind the numbers.
    pub entities: BTreeMap<NetId, Entity>,
}

/// Captures a snapshot of what the game declares, whenever one is due.
#[derive(Debug)]
pub struct SnapshotPlugin<G: Game>(PhantomData<G>);

impl<G: Game> Default for SnapshotPlugin<G> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<G: Game> Plugin for SnapshotPlugin<G> {
    fn build(&self, app: &mut App) {
        let declared = StateSchema::checked::<G>();
        for system in declared.capture_systems() {
            app.add_systems(FixedPostUpdate, system);
        }
        let interval = G::descriptor().snapshot_interval_ticks().into();
        app.insert_resource(SendSchedule::every(interval));
        app.insert_resource(SnapshotState {
            snapshots: SnapshotBuffer::new(declared.snapshots().clone(), interval),
            records: Records::default(),
            entities: BTreeMap::new(),
        });
        app.configure_sets(
            FixedPostUpdate,
            (
                SnapshotSystems::Enter,
                SnapshotSystems::Capture,
                SnapshotSystems::Finish,
                SnapshotSystems::UpdateVisibility,
                SnapshotSystems::Send,
            )
                .chain()
                .run_if(is_any_send_due),
        );
        app.add_systems(
            FixedPostUpdate,
            (
                begin_schedule.before(SnapshotSystems::Enter),
                begin
                    .before(SnapshotSystems::Capture)
                    .after(SnapshotSystems::Enter)
                    .run_if(is_any_send_due),
                finish.in_set(SnapshotSystems::Finish),
            ),
        );
        app.add_observer(leave);
        G::add_visibility(app);
    }
}

/// Entities with this component are of that kind. Kinds enter in any order: an entity is of one.
pub(crate) fn enter<C: MatchState>(kind: u8) -> ScheduleConfigs<ScheduleSystem> {
    let system = move |mut commands: Commands,
                       mut shown: ResMut<SnapshotState>,
                       new: Query<
        (Entity, &NetId, Option<&Avatar>, Option<&Team>),
        (With<C>, Without<SnapshotSlot>),
    >| {
        for (entity, id, avatar, team) in &new {
            if shown.entities.contains_key(id) {
                continue;
            }
            let owner = avatar.map(|avatar| avatar.seat);
            let slot = shown.snapshots.enter(Actor {
                id: id.0,
                kind,
                owner,
                team: team.map(|team| team.0).or(owner.map(|seat| seat.0)),
            });
            shown.entities.insert(*id, entity);
            commands.entity(entity).insert(SnapshotSlot(slot));
        }
    };
    system
        .in_set(SnapshotSystems::Enter)
        .ambiguous_with(SnapshotSystems::Enter)
}

fn leave(removed: On<Remove, NetId>, ids: Query<&NetId>, mut shown: ResMut<SnapshotState>) {
    if let Ok(id) = ids.get(removed.entity) {
        shown.snapshots.leave(id.0);
        shown.entities.remove(id);
    }
}

/// The tick that decides the match is shown to everybody: it is the last one that is recorded, and
/// without it watchers, replays and players would not see how the match was won.
fn begin_schedule(
    mut schedule: ResMut<SendSchedule>,
    tick: CurrentTick,
    status: Option<Single<&MatchStatus>>,
) {
    schedule.begin(tick.number());
    let is_decided = |status: Single<&MatchStatus>| {
        status.phase == MatchPhase::Over && status.since_tick == tick.number()
    };
    if status.is_some_and(is_decided) {
        schedule.send_to_everybody();
    }
}

fn begin(mut shown: ResMut<SnapshotState>, tick: CurrentTick) {
    shown.snapshots.begin(tick.number());
}

/// Fills a component's columns, from `offset` on, for entities of that kind.
pub(crate) fn capture<C: MatchState>(kind: u8, offset: usize) -> ScheduleConfigs<ScheduleSystem> {
    let columns = Declaration::<C>::read().columns;
    let system = move |mut shown: ResMut<SnapshotState>, actors: Query<(&SnapshotSlot, &C)>| {
        let snapshots = &mut shown.snapshots;
        for (place, component) in &actors {
            if snapshots.actor(place.0).kind == kind {
                let values = columns.iter().map(|column| column(component));
                let row = snapshots.row_mut(place.0)[offset..].iter_mut();
                row.zip(values).for_each(|(place, value)| *place = value);
            }
        }
    };
    in_capture(system)
}

/// Fills the column of the seat.
pub(crate) fn capture_seat(kind: u8, column: usize) -> ScheduleConfigs<ScheduleSystem> {
    let system = move |mut shown: ResMut<SnapshotState>,
                       avatars: Query<(&SnapshotSlot, &Avatar)>| {
        let snapshots = &mut shown.snapshots;
        for (place, avatar) in &avatars {
            if snapshots.actor(place.0).kind == kind {
                snapshots.row_mut(place.0)[column] = avatar.seat.0.into();
            }
        }
    };
    in_capture(system)
}

/// In any order: each fills columns of its own.
fn in_capture<M>(
    system: impl IntoScheduleConfigs<ScheduleSystem, M>,
) -> ScheduleConfigs<ScheduleSystem> {
    system
        .in_set(SnapshotSystems::Capture)
        .ambiguous_with(SnapshotSystems::Capture)
}

fn finish(mut shown: ResMut<SnapshotState>) {
    let shown = &mut *shown;
    shown.snapshots.finish();
    shown.records.renew(&shown.snapshots);
}
