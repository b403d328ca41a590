//! From components to the snapshot stream: a game says once which components make up a kind of
//! entity and how they become numbers; from then on they are captured in every tick that is shown
//! to anybody ([`Turns`]).
//!
//! It knows no viewer. Server only, but a replay may use it as well.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use gameserver_stream::record::Records;
use gameserver_stream::schema::{Kind, Schema};
use gameserver_stream::stage::{Actor, Slot, Stage};

pub use gameserver_stream::schema::{Audience, Field};

use crate::flow::{MatchPhase, MatchStatus};
use crate::game::Game;
use crate::net_id::NetId;
use crate::player::Avatar;
use crate::tick::CurrentTick;
use crate::turns::{Turns, is_anybodys_turn};

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
    Look,
    /// What must see the finished snapshot.
    Send,
}

/// A component that clients are shown.
pub trait Quantised: Component {
    /// What is shown of it, what changes most often first.
    const FIELDS: &'static [Field];

    /// Puts one value for each field, in their order.
    fn show(&self, values: &mut Values<'_>);
}

/// Where a component's values go.
#[derive(Debug)]
pub struct Values<'a> {
    fields: std::slice::Iter<'static, Field>,
    places: std::slice::IterMut<'a, u32>,
}

impl<'a> Values<'a> {
    fn new<C: Quantised>(row: &'a mut [u32]) -> Self {
        Self {
            fields: C::FIELDS.iter(),
            places: row.iter_mut(),
        }
    }

    /// Puts the value of the next field, brought to its nearest step. One too many is left out.
    pub fn put(&mut self, value: impl Into<f64>) {
        if let (Some(field), Some(place)) = (self.fields.next(), self.places.next()) {
            *place = field.quantise(value.into());
        }
    }
}

/// The team that an entity belongs to. Without one, a player is a team of its own: the number of
/// the seat.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team(pub u16);

/// The entity's place in the snapshots; inserted by the engine.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnStage(pub Slot);

/// The state that the snapshots show. Server only.
#[derive(Resource, Debug)]
pub struct Shown {
    /// The quantised state, now and a little while ago.
    pub stage: Stage,
    /// What was encoded of the present capture.
    pub records: Records,
    /// The entities behind the numbers.
    pub entities: BTreeMap<NetId, Entity>,
}

/// The kinds that were declared while the App was built.
#[derive(Resource, Debug, Default)]
struct Declared {
    schema: Schema,
}

/// One kind of entity, while it is being declared.
pub struct ShownKind {
    name: &'static str,
    fields: Vec<Field>,
    priority: u8,
    systems: Vec<fn(usize) -> ScheduleConfigs<ScheduleSystem>>,
    offsets: Vec<usize>,
    enter: Option<fn(u8) -> ScheduleConfigs<ScheduleSystem>>,
}

impl std::fmt::Debug for ShownKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownKind")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl ShownKind {
    /// A kind that nothing is shown of yet.
    #[must_use]
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            fields: Vec::new(),
            priority: 1,
            systems: Vec::new(),
            offsets: Vec::new(),
            enter: None,
        }
    }

    /// Shows a component. The first one decides which entities are of this kind.
    #[must_use]
    pub fn with<C: Quantised>(mut self) -> Self {
        self.offsets.push(self.fields.len());
        self.fields.extend_from_slice(C::FIELDS);
        self.systems
            .push(|offset| capture::<C>(offset).in_set(SnapshotSystems::Capture));
        self.enter
            .get_or_insert(|kind| enter::<C>(kind).in_set(SnapshotSystems::Enter));
        self
    }

    /// How much sooner than others it is sent when not everything fits: 1 to 8, 1 unless set.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        Self {
            priority: priority.clamp(1, 8),
            ..self
        }
    }

    /// Declares the kind.
    ///
    /// # Panics
    ///
    /// When the game declares more kinds or fields than the protocol has room for.
    pub fn register(self, app: &mut App) {
        let mut declared = app.world_mut().get_resource_or_init::<Declared>();
        let kind = declared.schema.add(Kind {
            name: self.name,
            fields: self.fields,
            priority: self.priority,
        });
        let kind = kind.expect("the game shows no more than the protocol has room for");
        if let Some(enter) = self.enter {
            app.add_systems(FixedPostUpdate, enter(kind));
        }
        for (system, offset) in self.systems.iter().zip(self.offsets) {
            app.add_systems(FixedPostUpdate, system(offset));
        }
    }
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
        G::add_snapshots(app);
        let declared = app.world_mut().remove_resource::<Declared>();
        let interval = G::descriptor().snapshot_interval_ticks().into();
        app.insert_resource(Turns::every(interval));
        app.insert_resource(Shown {
            stage: Stage::new(declared.unwrap_or_default().schema, interval),
            records: Records::default(),
            entities: BTreeMap::new(),
        });
        app.configure_sets(
            FixedPostUpdate,
            (
                SnapshotSystems::Enter,
                SnapshotSystems::Capture,
                SnapshotSystems::Finish,
                SnapshotSystems::Look,
                SnapshotSystems::Send,
            )
                .chain()
                .run_if(is_anybodys_turn),
        );
        app.add_systems(
            FixedPostUpdate,
            (
                begin_turn.before(SnapshotSystems::Enter),
                begin
                    .before(SnapshotSystems::Capture)
                    .after(SnapshotSystems::Enter)
                    .run_if(is_anybodys_turn),
                finish.in_set(SnapshotSystems::Finish),
            ),
        );
        app.add_observer(leave);
    }
}

fn enter<C: Quantised>(kind: u8) -> ScheduleConfigs<ScheduleSystem> {
    let system = move |mut commands: Commands,
                       mut shown: ResMut<Shown>,
                       new: Query<
        (Entity, &NetId, Option<&Avatar>, Option<&Team>),
        (With<C>, Without<OnStage>),
    >| {
        for (entity, id, avatar, team) in &new {
            let owner = avatar.map(|avatar| avatar.seat);
            let slot = shown.stage.enter(Actor {
                id: id.0,
                kind,
                owner,
                team: team.map(|team| team.0).or(owner.map(|seat| seat.0)),
            });
            shown.entities.insert(*id, entity);
            commands.entity(entity).insert(OnStage(slot));
        }
    };
    system.into_configs()
}

fn leave(removed: On<Remove, NetId>, ids: Query<&NetId>, mut shown: ResMut<Shown>) {
    if let Ok(id) = ids.get(removed.entity) {
        shown.stage.leave(id.0);
        shown.entities.remove(id);
    }
}

/// The tick that decides the match is shown to everybody: it is the last one that is recorded, and
/// without it watchers, replays and players would not see how the match was won.
fn begin_turn(mut turns: ResMut<Turns>, tick: CurrentTick, status: Option<Single<&MatchStatus>>) {
    turns.begin(tick.number());
    let is_decided = |status: Single<&MatchStatus>| {
        status.phase == MatchPhase::Over && status.since_tick == tick.number()
    };
    if status.is_some_and(is_decided) {
        turns.give_to_everybody();
    }
}

fn begin(mut shown: ResMut<Shown>, tick: CurrentTick) {
    shown.stage.begin(tick.number());
}

fn capture<C: Quantised>(offset: usize) -> ScheduleConfigs<ScheduleSystem> {
    let system = move |mut shown: ResMut<Shown>, actors: Query<(&OnStage, &C)>| {
        for (place, component) in &actors {
            let row = &mut shown.stage.row_mut(place.0)[offset..];
            component.show(&mut Values::new::<C>(row));
        }
    };
    system.into_configs()
}

fn finish(mut shown: ResMut<Shown>) {
    let shown = &mut *shown;
    shown.stage.finish();
    shown.records.renew(&shown.stage);
}
