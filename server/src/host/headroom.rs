//! Judges from measurements whether a match has time for one more, before players notice.
//!
//! It measures nothing and reads no clock; the workers and `load_probe` do, and the directory asks.
//! A load is a share: 1.0 is all of a worker's time, all of the process's processors, a tick as
//! long as its budget, or network threads so late that players notice.
//!
//! What a match costs its worker grows with its players and not with their joins, so it can be
//! predicted. Handshakes cost the process more than playing does: 125 joins a second of 1,000
//! players took half of a core, lobby included, of which these players then used three quarters. So
//! the load of the process is not divided among players, and a rush of them is admitted at the pace
//! that leaves time for those who play.

use std::time::Duration;

use gameserver_contract::session::Role;
use gameserver_control::Admits;

/// Time from one measurement to the next.
pub const MEASURE_INTERVAL: Duration = Duration::from_millis(500);
/// When somebody who was refused may try again: after the shortest time in which a closed gate
/// opens again.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Share of the players' limit from which on nobody else may watch: spectators are refused first.
const SPECTATORS_SHARE: f32 = 0.85;
/// How far below its limit a load has to fall before the gate opens again.
const MARGIN: f32 = 0.05;
/// Measurements in a row, 2 s, that have to be that low.
const COOLDOWN_MEASUREMENTS: u8 = 4;
/// Share of a new measurement in the load that counts; the rest is what counted before. By as much
/// those who were admitted since are part of it.
const FRESH: f32 = 0.5;
/// Measurements, 1 s, of which the lowest is the sustained load of the process.
const SUSTAINED_MEASUREMENTS: usize = 2;
/// A load is divided among at least so many players: the first ones of a match seem to cost what it
/// costs without them, too.
const PLAYERS_ASSUMED: u16 = 50;
/// The least that a player is taken to cost: 2,000 of them fill a worker. Without it, a match that
/// was never measured would take everybody.
const COST_MIN: f32 = 1.0 / 2_000.0;

/// The limit that players are admitted below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetMax(f32);

impl BudgetMax {
    /// A share of the budget; 0.9 is usual. A share above what can be measured refuses nobody.
    #[must_use]
    pub fn of(share: f32) -> Self {
        Self(share)
    }

    /// Refuses nobody.
    pub const OFF: Self = Self(f32::INFINITY);

    /// The share itself.
    pub(super) fn share(self) -> f32 {
        self.0
    }

    fn of_role(self, role: Role) -> f32 {
        match role {
            Role::Player => self.0,
            Role::Spectator => self.0 * SPECTATORS_SHARE,
        }
    }
}

/// One measurement of a match.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct LoadSample {
    /// The load that counts: of its ticks, or of its worker.
    pub(super) load: f32,
    /// The part of it that its players cause.
    pub(super) own: f32,
    /// How many they are.
    pub(super) players: usize,
}

/// A load that grows with its players, with those who were admitted since it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LoadEstimate {
    load: f32,
    cost: f32,
    unmeasured: f32,
}

impl Default for LoadEstimate {
    fn default() -> Self {
        Self {
            load: 0.0,
            cost: COST_MIN,
            unmeasured: 0.0,
        }
    }
}

impl LoadEstimate {
    fn record(&mut self, sample: LoadSample) {
        let players = u16::try_from(sample.players).unwrap_or(u16::MAX);
        let each = known(sample.own) / f32::from(players.max(PLAYERS_ASSUMED));
        self.cost = each.max(COST_MIN);
        self.load += (known(sample.load) - self.load) * FRESH;
        self.unmeasured *= 1.0 - FRESH;
    }

    /// The load with everybody who was admitted, and one more.
    fn expected(&self) -> f32 {
        self.load + (self.unmeasured + 1.0) * self.cost
    }
}

/// What is no number was not measured. A thousand times the budget is as bad as anything.
fn known(share: f32) -> f32 {
    if share.is_nan() {
        0.0
    } else {
        share.clamp(0.0, 1_000.0)
    }
}

/// The load of the process that is more than a spike.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct SustainedLoad {
    latest: [f32; SUSTAINED_MEASUREMENTS],
}

impl SustainedLoad {
    /// Adds a measurement.
    pub(super) fn record(&mut self, load: f32) {
        self.latest.rotate_right(1);
        self.latest[0] = known(load);
    }

    /// The load that there was all the time.
    pub(super) fn load(self) -> f32 {
        self.latest.iter().copied().fold(f32::INFINITY, f32::min)
    }
}

/// Whether people of a role are admitted, with hysteresis, so that it does not flap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum RoleGate {
    #[default]
    Open,
    Closed {
        /// Measurements in a row in which it could have been open.
        cooldown: u8,
    },
}

impl RoleGate {
    fn after(self, load: f32, limit: f32) -> Self {
        match self {
            _ if load >= limit => Self::Closed { cooldown: 0 },
            Self::Closed { .. } if load > limit - MARGIN => Self::Closed { cooldown: 0 },
            Self::Closed { cooldown } if cooldown + 1 < COOLDOWN_MEASUREMENTS => Self::Closed {
                cooldown: cooldown + 1,
            },
            Self::Open | Self::Closed { .. } => Self::Open,
        }
    }
}

/// How much room a match has: the load of its worker and its ticks, and whether its gates are open.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Headroom {
    estimate: LoadEstimate,
    players: RoleGate,
    spectators: RoleGate,
}

impl Headroom {
    /// Judges anew after a measurement of the match, and of the process that it runs in.
    pub(super) fn record(&mut self, sample: LoadSample, process: SustainedLoad, max: BudgetMax) {
        self.estimate.record(sample);
        let load = self.estimate.load.max(process.load());
        self.players = self.players.after(load, max.of_role(Role::Player));
        let limit = max.of_role(Role::Spectator);
        self.spectators = self.spectators.after(load, limit);
    }

    /// Reserves what a player costs who was admitted now, until measurements contain it.
    pub(super) fn reserve_player(&mut self) {
        self.estimate.unmeasured += 1.0;
    }

    /// The load to be expected with one more, or that of the process if it is higher.
    pub(super) fn expected(&self, process: SustainedLoad) -> f32 {
        self.estimate.expected().max(process.load())
    }

    /// Who is admitted now. Between two measurements an open gate admits only as many as fit below
    /// the limit by what one is known to cost.
    pub(super) fn admits(&self, process: SustainedLoad, max: BudgetMax) -> Admits {
        let expected = self.expected(process);
        let fits = |gate: RoleGate, role| gate == RoleGate::Open && expected < max.of_role(role);
        if !fits(self.players, Role::Player) {
            Admits::Nobody
        } else if fits(self.spectators, Role::Spectator) {
            Admits::Everybody
        } else {
            Admits::Players
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: BudgetMax = BudgetMax(0.95);

    /// A match in a process.
    #[derive(Default)]
    struct LoadedMatch {
        headroom: Headroom,
        process: SustainedLoad,
        players: usize,
    }

    impl LoadedMatch {
        fn measure(&mut self, load: f32) -> Admits {
            let sample = LoadSample {
                load,
                own: load,
                players: self.players,
            };
            self.headroom.record(sample, self.process, MAX);
            self.admits()
        }

        fn settle(&mut self, load: f32) -> Admits {
            for _ in 0..20 {
                self.measure(load);
            }
            self.admits()
        }

        fn admits(&self) -> Admits {
            self.headroom.admits(self.process, MAX)
        }

        /// Admits whoever comes until somebody is refused.
        fn fill(&mut self, at_most: usize) -> usize {
            let mut admitted = 0;
            while admitted < at_most && self.admits().allows(Role::Player) {
                self.headroom.reserve_player();
                admitted += 1;
            }
            self.players += admitted;
            admitted
        }
    }

    #[test]
    fn spectators_are_refused_before_players() {
        let mut hosted = LoadedMatch::default();
        assert_eq!(hosted.settle(0.5), Admits::Everybody);
        assert_eq!(hosted.settle(0.85), Admits::Players);
        assert_eq!(hosted.settle(0.96), Admits::Nobody);
        assert!(Admits::Players.allows(Role::Player) && !Admits::Players.allows(Role::Spectator));
    }

    #[test]
    fn a_gate_opens_only_after_two_seconds_of_cooldown() {
        let mut hosted = LoadedMatch::default();
        hosted.settle(1.0);
        // Just below the limit is no cooldown.
        assert_eq!(hosted.settle(0.93), Admits::Nobody);
        hosted.settle(1.0);
        let opens =
            |hosted: &mut LoadedMatch| (0..100).find(|_| hosted.measure(0.3) != Admits::Nobody);
        // The first measurement brings what counts down to 0.65 already.
        let last = usize::from(COOLDOWN_MEASUREMENTS) - 1;
        assert_eq!(opens(&mut hosted), Some(last));
    }

    #[test]
    fn a_spike_during_the_cooldown_begins_it_anew() {
        let mut hosted = LoadedMatch::default();
        hosted.settle(1.0);
        for _ in 1..COOLDOWN_MEASUREMENTS {
            assert_eq!(hosted.measure(0.2), Admits::Nobody);
        }
        hosted.measure(3.0);
        for _ in 1..COOLDOWN_MEASUREMENTS {
            assert_eq!(hosted.measure(0.2), Admits::Nobody);
        }
    }

    #[test]
    fn an_idle_match_takes_a_crowd_at_once_but_not_any() {
        let mut hosted = LoadedMatch::default();
        hosted.settle(0.02);
        let admitted = hosted.fill(10_000);
        assert!((1_000..2_000).contains(&admitted), "{admitted}");
    }

    #[test]
    fn between_measurements_as_many_come_in_as_fit() {
        let mut hosted = LoadedMatch {
            players: 800,
            ..LoadedMatch::default()
        };
        hosted.settle(0.664);
        // 0.83 thousandths each, up to 0.95.
        let admitted = hosted.fill(10_000);
        assert!((330..=350).contains(&admitted), "{admitted}");
        assert_eq!(hosted.admits(), Admits::Nobody);
    }

    #[test]
    fn a_process_that_stays_full_closes_a_match_that_has_time() {
        let mut hosted = LoadedMatch::default();
        hosted.settle(0.4);
        for _ in 1..SUSTAINED_MEASUREMENTS {
            hosted.process.record(0.97);
            assert_eq!(hosted.measure(0.4), Admits::Everybody);
        }
        hosted.process.record(0.97);
        assert_eq!(hosted.measure(0.4), Admits::Nobody);
        hosted.process.record(0.7);
        assert_eq!(hosted.settle(0.4), Admits::Everybody);
    }

    #[test]
    fn without_a_limit_nobody_is_refused() {
        let mut headroom = Headroom::default();
        let process = SustainedLoad::default();
        let sample = LoadSample {
            load: 50.0,
            own: 50.0,
            players: 3,
        };
        headroom.record(sample, process, BudgetMax::OFF);
        assert_eq!(headroom.admits(process, BudgetMax::OFF), Admits::Everybody);
    }

    proptest! {
        /// However many come at a time, whatever they cost: the load never passes what the match
        /// has, although it is known half a second late and smoothed.
        #[test]
        fn players_never_overrun_a_match(
            base in 0.0f32..0.3,
            cost in (1.0f32 / 4_000.0)..0.004,
            arrivals in prop::collection::vec(0usize..300, 40..120),
        ) {
            let mut hosted = LoadedMatch::default();
            hosted.settle(base);
            for coming in arrivals {
                hosted.fill(coming);
                let load = base + cost * f32::from(u16::try_from(hosted.players).unwrap());
                // The first ones cost more than anybody can know before they were measured.
                let unknown = if cost > COST_MIN { 300.0 * (cost - COST_MIN) } else { 0.0 };
                prop_assert!(load <= MAX.0 + unknown, "{load} with {}", hosted.players);
                hosted.measure(load);
            }
        }

        /// Whatever is measured, spectators are not admitted where players are refused, and nothing
        /// panics.
        #[test]
        fn no_measurement_turns_the_order_around(
            loads in prop::collection::vec(prop::num::f32::ANY, 1..50),
        ) {
            let mut hosted = LoadedMatch::default();
            for load in loads {
                let admits = hosted.measure(load);
                prop_assert!(admits.allows(Role::Player) || !admits.allows(Role::Spectator));
                prop_assert!(hosted.headroom.expected(hosted.process).is_finite());
            }
        }
    }
}
