//! Whether a match can take one more: a judgement of what was measured, before players notice.
//!
//! It measures nothing and reads no clock; the workers and `pulse` do, and the board asks. A load
//! is a share: 1.0 is all of a worker's time, all of the process's processors, a tick as long as
//! its budget, or network threads so late that players notice.
//!
//! What a match costs its worker goes up with its players and not with their coming, so it is told
//! ahead. Handshakes cost the process more than playing does: 125 joins a second of 1,000
//! players took half of a core, lobby included, that these players then used three quarters of. So
//! its load is not divided among players, and a rush of them is let in at the pace that leaves time
//! for those who play.

use std::time::Duration;

use gameserver_contract::session::Role;

/// Time from one measurement to the next.
pub const MEASURE_INTERVAL: Duration = Duration::from_millis(500);
/// When somebody who was refused may try again: after the shortest time in which a door that was
/// closed opens again.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Share of the players' limit from which on nobody else may watch: watchers are refused first.
const SPECTATORS_SHARE: f32 = 0.85;
/// How far below its limit a load has to fall before the door opens again.
const MARGIN: f32 = 0.05;
/// Measurements in a row, 2 s, that have to be that low.
const CALM_MEASUREMENTS: u8 = 4;
/// Share of a new measurement in the load that counts; the rest is what counted before. By as much
/// those who were admitted since are part of it.
const FRESH: f32 = 0.5;
/// Measurements, 1 s, of which the lowest says what load of the process lasts.
const LASTING_MEASUREMENTS: usize = 2;
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
    /// A share of the budget; 0.9 is usual. Whatever is above what can be measured closes no door.
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

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admits {
    /// Players and spectators.
    #[default]
    Everybody,
    /// No spectator.
    Players,
    /// Nobody who has no seat yet.
    Nobody,
}

impl Admits {
    /// Whether somebody new may come in this role.
    #[must_use]
    pub fn allows(self, role: Role) -> bool {
        match self {
            Self::Everybody => true,
            Self::Players => role == Role::Player,
            Self::Nobody => false,
        }
    }
}

/// What one measurement found of a match.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Measured {
    /// The load that counts: of its ticks, or of its worker.
    pub(super) load: f32,
    /// The part of it that its players cause.
    pub(super) own: f32,
    /// How many they are.
    pub(super) players: usize,
}

/// A load that goes up with the players in it, and who came since it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Meter {
    load: f32,
    cost: f32,
    unmeasured: f32,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            load: 0.0,
            cost: COST_MIN,
            unmeasured: 0.0,
        }
    }
}

impl Meter {
    fn take(&mut self, measured: Measured) {
        let players = u16::try_from(measured.players).unwrap_or(u16::MAX);
        let each = known(measured.own) / f32::from(players.max(PLAYERS_ASSUMED));
        self.cost = each.max(COST_MIN);
        self.load += (known(measured.load) - self.load) * FRESH;
        self.unmeasured *= 1.0 - FRESH;
    }

    /// The load when everybody is at work who was admitted, and one more.
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

/// The load of the process that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Lasting {
    latest: [f32; LASTING_MEASUREMENTS],
}

impl Lasting {
    /// Takes a measurement in.
    pub(super) fn take(&mut self, load: f32) {
        self.latest.rotate_right(1);
        self.latest[0] = known(load);
    }

    /// The load that there was all the time.
    pub(super) fn load(self) -> f32 {
        self.latest.iter().copied().fold(f32::INFINITY, f32::min)
    }
}

/// Whether people of a role are let in, with a memory, so that it does not flap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Door {
    #[default]
    Open,
    Closed {
        /// Measurements in a row in which it could have been open.
        calm: u8,
    },
}

impl Door {
    fn look(self, load: f32, limit: f32) -> Self {
        match self {
            _ if load >= limit => Self::Closed { calm: 0 },
            Self::Closed { .. } if load > limit - MARGIN => Self::Closed { calm: 0 },
            Self::Closed { calm } if calm + 1 < CALM_MEASUREMENTS => {
                Self::Closed { calm: calm + 1 }
            }
            Self::Open | Self::Closed { .. } => Self::Open,
        }
    }
}

/// How much room a match has: what its worker and its ticks tell, and whether its doors are open.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Headroom {
    meter: Meter,
    players: Door,
    spectators: Door,
}

impl Headroom {
    /// Judges anew after a measurement of the match, and of the process that it runs in.
    pub(super) fn measure(&mut self, measured: Measured, process: Lasting, max: BudgetMax) {
        self.meter.take(measured);
        let load = self.meter.load.max(process.load());
        self.players = self.players.look(load, max.of_role(Role::Player));
        self.spectators = self.spectators.look(load, max.of_role(Role::Spectator));
    }

    /// Counts a player in who no measurement has seen yet.
    pub(super) fn admit(&mut self) {
        self.meter.unmeasured += 1.0;
    }

    /// The load to be expected with one more, or that of the process if it is higher.
    pub(super) fn expected(&self, process: Lasting) -> f32 {
        self.meter.expected().max(process.load())
    }

    /// Who may come in now. A door that is open lets in only as many between two measurements as
    /// fit below the limit by what one is known to cost.
    pub(super) fn admits(&self, process: Lasting, max: BudgetMax) -> Admits {
        let expected = self.expected(process);
        let fits = |door: Door, role| door == Door::Open && expected < max.of_role(role);
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
    struct Match {
        headroom: Headroom,
        process: Lasting,
        players: usize,
    }

    impl Match {
        fn measure(&mut self, load: f32) -> Admits {
            let measured = Measured {
                load,
                own: load,
                players: self.players,
            };
            self.headroom.measure(measured, self.process, MAX);
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

        /// Lets in whoever comes until somebody is refused.
        fn fill(&mut self, at_most: usize) -> usize {
            let mut admitted = 0;
            while admitted < at_most && self.admits().allows(Role::Player) {
                self.headroom.admit();
                admitted += 1;
            }
            self.players += admitted;
            admitted
        }
    }

    #[test]
    fn spectators_are_refused_before_players() {
        let mut hosted = Match::default();
        assert_eq!(hosted.settle(0.5), Admits::Everybody);
        assert_eq!(hosted.settle(0.85), Admits::Players);
        assert_eq!(hosted.settle(0.96), Admits::Nobody);
        assert!(Admits::Players.allows(Role::Player) && !Admits::Players.allows(Role::Spectator));
    }

    #[test]
    fn a_door_opens_only_after_two_calm_seconds() {
        let mut hosted = Match::default();
        hosted.settle(1.0);
        // Just below the limit is not calm.
        assert_eq!(hosted.settle(0.93), Admits::Nobody);
        hosted.settle(1.0);
        let calm = |hosted: &mut Match| (0..100).find(|_| hosted.measure(0.3) != Admits::Nobody);
        // The first measurement brings what counts down to 0.65 already.
        assert_eq!(calm(&mut hosted), Some(usize::from(CALM_MEASUREMENTS) - 1));
    }

    #[test]
    fn a_spike_among_calm_measurements_begins_the_wait_anew() {
        let mut hosted = Match::default();
        hosted.settle(1.0);
        for _ in 1..CALM_MEASUREMENTS {
            assert_eq!(hosted.measure(0.2), Admits::Nobody);
        }
        hosted.measure(3.0);
        for _ in 1..CALM_MEASUREMENTS {
            assert_eq!(hosted.measure(0.2), Admits::Nobody);
        }
    }

    #[test]
    fn an_idle_match_takes_a_crowd_at_once_but_not_any() {
        let mut hosted = Match::default();
        hosted.settle(0.02);
        let admitted = hosted.fill(10_000);
        assert!((1_000..2_000).contains(&admitted), "{admitted}");
    }

    #[test]
    fn between_measurements_as_many_come_in_as_fit() {
        let mut hosted = Match {
            players: 800,
            ..Match::default()
        };
        hosted.settle(0.664);
        // 0.83 thousandths each, up to 0.95.
        let admitted = hosted.fill(10_000);
        assert!((330..=350).contains(&admitted), "{admitted}");
        assert_eq!(hosted.admits(), Admits::Nobody);
    }

    #[test]
    fn a_process_that_stays_full_closes_a_match_that_has_time() {
        let mut hosted = Match::default();
        hosted.settle(0.4);
        for _ in 1..LASTING_MEASUREMENTS {
            hosted.process.take(0.97);
            assert_eq!(hosted.measure(0.4), Admits::Everybody);
        }
        hosted.process.take(0.97);
        assert_eq!(hosted.measure(0.4), Admits::Nobody);
        hosted.process.take(0.7);
        assert_eq!(hosted.settle(0.4), Admits::Everybody);
    }

    #[test]
    fn without_a_limit_nobody_is_refused() {
        let mut headroom = Headroom::default();
        let process = Lasting::default();
        let measured = Measured {
            load: 50.0,
            own: 50.0,
            players: 3,
        };
        headroom.measure(measured, process, BudgetMax::OFF);
        assert_eq!(headroom.admits(process, BudgetMax::OFF), Admits::Everybody);
    }

    proptest! {
        /// However many come at a time, whatever they cost: the load never passes what the match
        /// has, although it is told half a second late and smoothed.
        #[test]
        fn players_never_overrun_a_match(
            base in 0.0f32..0.3,
            cost in (1.0f32 / 4_000.0)..0.004,
            arrivals in prop::collection::vec(0usize..300, 40..120),
        ) {
            let mut hosted = Match::default();
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

        /// Whatever is measured, spectators are not let in where players are refused, and nothing
        /// panics.
        #[test]
        fn no_measurement_turns_the_order_around(
            loads in prop::collection::vec(prop::num::f32::ANY, 1..50),
        ) {
            let mut hosted = Match::default();
            for load in loads {
                let admits = hosted.measure(load);
                prop_assert!(admits.allows(Role::Player) || !admits.allows(Role::Spectator));
                prop_assert!(hosted.headroom.expected(hosted.process).is_finite());
            }
        }
    }
}
