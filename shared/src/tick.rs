//! The order of a tick, in one place.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use lightyear::prelude::LocalTimeline;

/// What happens in a tick, in this order, in [`FixedUpdate`].
///
/// Clients run `ReadInputs` and `Simulate` only, also when they roll back and repeat a tick.
#[derive(SystemSet, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TickSystems {
    /// Turns this tick's inputs into intentions.
    ReadInputs,
    /// Moves what is simulated on both sides.
    Simulate,
    /// Server only: decides what was hit.
    ResolveHits,
    /// Server only: health, score, spawning, the phases of the match.
    ApplyRules,
    /// Server only: fingerprints the state, for replays and desync reports.
    HashState,
    /// Server only: what must see the finished tick.
    Publish,
}

/// Puts the sets in their order.
#[derive(Debug)]
pub struct TickPlugin;

impl Plugin for TickPlugin {
    fn build(&self, app: &mut App) {
        app.configure_sets(
            FixedUpdate,
            (
                TickSystems::ReadInputs,
                TickSystems::Simulate,
                TickSystems::ResolveHits,
                TickSystems::ApplyRules,
                TickSystems::HashState,
                TickSystems::Publish,
            )
                .chain(),
        );
    }
}

/// The tick that is being simulated: the same number on server and clients, also while a client
/// repeats an earlier tick.
#[derive(SystemParam)]
pub struct CurrentTick<'w> {
    timeline: Res<'w, LocalTimeline>,
}

impl std::fmt::Debug for CurrentTick<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CurrentTick({})", self.number())
    }
}

impl CurrentTick<'_> {
    /// Ticks since the match's App was built. At 60 ticks a second it lasts 2.2 years.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.timeline.tick().0
    }
}
