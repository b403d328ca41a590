//! Measures where a tick's time goes: between the sets of a tick, small systems read the clock and
//! record what was spent since the last reading.
//!
//! Nothing in a match may depend on it. It does not know metrics; the host hands the times on.

use std::time::{Duration, Instant};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use gameserver_shared::snapshot::SnapshotSystems;
use gameserver_shared::tick::TickSystems;

use super::events::EventSystems;
use crate::match_log::RecordSystems;

/// A part of a tick; all of them together are the whole tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickPart {
    /// Packets and frames of players are taken in, by us and by lightyear.
    Receive,
    /// Each avatar gets its input; up to the end of [`TickSystems::ReadInputs`].
    ReadInputs,
    /// [`TickSystems::Simulate`].
    Simulate,
    /// [`TickSystems::ResolveHits`].
    ResolveHits,
    /// [`TickSystems::ApplyRules`].
    ApplyRules,
    /// [`TickSystems::HashState`].
    HashState,
    /// The tick, and now and then the whole state, go into the match log.
    Record,
    /// [`TickSystems::Publish`].
    Publish,
    /// Events are encoded and sent.
    Tell,
    /// [`SnapshotSystems::Enter`] to [`SnapshotSystems::Finish`].
    Capture,
    /// [`SnapshotSystems::UpdateVisibility`].
    Look,
    /// [`SnapshotSystems::Send`]: thin players' snapshots, spectators' views, native players' fog.
    SendSnapshots,
    /// What comes after the fixed tick: lightyear's packets, and sending them.
    Replicate,
    /// What the host does after the tick: spectators, seats, phases.
    AfterWork,
}

impl TickPart {
    /// How many there are.
    pub const COUNT: usize = 14;
    /// In the order of a tick.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Receive,
        Self::ReadInputs,
        Self::Simulate,
        Self::ResolveHits,
        Self::ApplyRules,
        Self::HashState,
        Self::Record,
        Self::Publish,
        Self::Tell,
        Self::Capture,
        Self::Look,
        Self::SendSnapshots,
        Self::Replicate,
        Self::AfterWork,
    ];

    /// The label `part` of `gs_tick_part_seconds`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::ReadInputs => "read_inputs",
            Self::Simulate => "simulate",
            Self::ResolveHits => "resolve_hits",
            Self::ApplyRules => "apply_rules",
            Self::HashState => "hash_state",
            Self::Record => "record",
            Self::Publish => "publish",
            Self::Tell => "tell",
            Self::Capture => "capture",
            Self::Look => "look",
            Self::SendSnapshots => "send_snapshots",
            Self::Replicate => "replicate",
            Self::AfterWork => "after_work",
        }
    }
}

/// What each part of the present tick took so far.
#[derive(Resource, Debug)]
pub struct TickParts {
    since: Instant,
    /// In the order of [`TickPart::ALL`].
    spent: [Duration; TickPart::COUNT],
}

impl Default for TickParts {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            spent: [Duration::ZERO; TickPart::COUNT],
        }
    }
}

impl TickParts {
    /// Begins a tick, with the part [`TickPart::Receive`].
    pub fn begin(&mut self) {
        *self = Self::default();
    }

    /// What was spent since the last call belongs to this part.
    pub fn end(&mut self, part: TickPart) {
        let now = Instant::now();
        self.spent[part as usize] += now - self.since;
        self.since = now;
    }

    /// What each part took, in the order of [`TickPart::ALL`].
    #[must_use]
    pub fn spent(&self) -> &[Duration; TickPart::COUNT] {
        &self.spent
    }
}

/// Adds the readings of the clock: 13 a tick, some 40 ns each, beside what Bevy needs to run a
/// system.
#[derive(Debug)]
pub(super) struct TickPartsPlugin;

impl Plugin for TickPartsPlugin {
    fn build(&self, app: &mut App) {
        use TickPart::{
            ApplyRules, Capture, HashState, Look, Publish, ReadInputs, Receive, Record,
            ResolveHits, SendSnapshots, Simulate, Tell,
        };
        app.init_resource::<TickParts>().add_systems(
            RunFixedMainLoop,
            end(Receive).in_set(RunFixedMainLoopSystems::BeforeFixedMainLoop),
        );
        app.add_systems(
            FixedUpdate,
            (
                end(ReadInputs)
                    .after(TickSystems::ReadInputs)
                    .before(TickSystems::Simulate),
                end(Simulate)
                    .after(TickSystems::Simulate)
                    .before(TickSystems::ResolveHits),
                end(ResolveHits)
                    .after(TickSystems::ResolveHits)
                    .before(TickSystems::ApplyRules),
                end(ApplyRules)
                    .after(TickSystems::ApplyRules)
                    .before(TickSystems::HashState),
                end(HashState)
                    .after(TickSystems::HashState)
                    .before(RecordSystems),
                end(Record)
                    .after(RecordSystems)
                    .before(TickSystems::Publish),
                end(Publish).after(TickSystems::Publish),
            ),
        );
        app.add_systems(
            FixedPostUpdate,
            (
                end(Tell).after(EventSystems).before(SnapshotSystems::Enter),
                end(Capture)
                    .after(SnapshotSystems::Finish)
                    .before(SnapshotSystems::UpdateVisibility),
                end(Look)
                    .after(SnapshotSystems::UpdateVisibility)
                    .before(SnapshotSystems::Send),
                end(SendSnapshots).after(SnapshotSystems::Send),
            ),
        );
        app.add_systems(FixedLast, end(Record).after(RecordSystems));
    }
}

fn end(part: TickPart) -> ScheduleConfigs<ScheduleSystem> {
    let system = move |mut parts: ResMut<TickParts>| parts.end(part);
    system.into_configs()
}
