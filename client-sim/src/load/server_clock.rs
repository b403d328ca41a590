//! Follows the server's clock by its snapshots and decides when a bot sends which tick's input: by
//! how early the server says inputs arrive, or by the round trip where it does not say so.

use std::time::{Duration, Instant};

/// Snapshots over which the earliness of inputs has its minimum taken: a second of them.
const WINDOW: u32 = 20;
/// Snapshots after a correction that say nothing of it yet.
const HOLD: u32 = 5;
/// Share of what is missing by which a lead that is too short is made longer.
const LENGTHENING: f64 = 0.5;
/// Share by which a lead that is too long is shortened.
const SHORTENING: f64 = 0.5;
/// The longest step, seconds: a tick at 60 Hz. Whole ticks do not show how much of a tick is
/// missing or to spare, and a longer tick is no reason to lead by more time.
const STEP_MAX: f64 = 1.0 / 60.0;
/// Steps by which a lead that just suffices is shortened, to find out whether less does too. With
/// the lengthening it lets one input of a hundred come late, as games do that would rather repeat
/// an input now and then than add to everybody's delay.
const PROBE: f64 = 0.1;
/// The lead in the beginning, steps.
const LEAD_FIRST: f64 = 2.0;
/// No lead is longer: a second at 60 Hz. The server would refuse inputs from farther ahead.
const LEAD_MAX: f64 = 60.0;
/// How fast an estimate of the server's clock that is too early is corrected, as a share of the
/// difference for each snapshot.
const DRIFT: f64 = 0.02;

/// How long before its moment a snapshot is expected. Only a snapshot that comes early shows that
/// the clock is late: a bot that looked at the moment itself would find every snapshot late, by the
/// time that looking takes, and follow a clock that is later and later.
const EARLY: Duration = Duration::from_millis(3);

/// Added to a moment, so that rounding never makes it one at which nothing is due yet.
const ROUNDING: Duration = Duration::from_micros(1);

/// A bot's idea of the server's clock.
#[derive(Debug)]
pub(super) struct ServerClock {
    tick_s: f64,
    /// Ticks in a step, at most 1.
    step: f64,
    /// A moment, and the tick that the server's newest snapshot was of then.
    origin: Option<(Instant, f64)>,
    lead: f64,
    /// How early inputs came at least, and over how many snapshots.
    least: (i32, u32),
    /// Snapshots to be left out.
    hold: u32,
}

impl ServerClock {
    pub(super) fn new(tick: Duration) -> Self {
        let tick_s = tick.as_secs_f64();
        let step = (STEP_MAX / tick_s).min(1.0);
        Self {
            tick_s,
            step,
            origin: None,
            lead: LEAD_FIRST * step,
            least: (i32::MAX, 0),
            hold: 0,
        }
    }

    /// A snapshot of this tick arrived.
    pub(super) fn observe(&mut self, tick: u32, early: Option<i32>, now: Instant) {
        let tick = f64::from(tick);
        match self.server_tick(now) {
            // The fastest way counts: a late snapshot says nothing of the clock.
            Some(expected) => {
                let ahead = tick - expected;
                let step = if ahead > 0.0 { ahead } else { ahead * DRIFT };
                self.origin = Some((now, expected + step));
            }
            None => self.origin = Some((now, tick)),
        }
        if let Some(early) = early {
            self.correct(early);
        }
    }

    /// Sets the lead in ticks, for servers that do not say how early inputs come.
    pub(super) fn set_lead(&mut self, ticks: f64) {
        self.lead = ticks.clamp(0.0, LEAD_MAX);
    }

    /// What comes late makes the lead longer at once; what comes early for a second, shorter.
    fn correct(&mut self, early: i32) {
        if self.hold > 0 {
            self.hold -= 1;
            return;
        }
        let (least, seen) = (self.least.0.min(early), self.least.1 + 1);
        self.least = (least, seen);
        if early >= 0 && seen < WINDOW {
            return;
        }
        let change = match least {
            0 => -PROBE * self.step,
            // Of the last one of these ticks a part may be missing.
            late if late < 0 => (f64::from(-late - 1) + self.step) * LENGTHENING,
            spare => f64::from(-spare) * SHORTENING,
        };
        self.lead = (self.lead + change).clamp(0.0, LEAD_MAX);
        (self.least, self.hold) = ((i32::MAX, 0), HOLD);
    }

    fn server_tick(&self, now: Instant) -> Option<f64> {
        let (at, tick) = self.origin?;
        Some(tick + now.saturating_duration_since(at).as_secs_f64() / self.tick_s)
    }

    /// The newest tick whose input should be on its way now; none before the first snapshot.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ticks are positive and stay far below 2^32"
    )]
    pub(super) fn input_due(&self, now: Instant) -> Option<u32> {
        self.server_tick(now).map(|tick| (tick + self.lead) as u32)
    }

    /// When the input of this tick is due; none before the first snapshot.
    pub(super) fn input_due_at(&self, tick: u32) -> Option<Instant> {
        self.moment_of(f64::from(tick) - self.lead)
    }

    /// When a snapshot of this tick is to be looked for; none before the first one.
    pub(super) fn snapshot_due_at(&self, tick: u32) -> Option<Instant> {
        let moment = self.moment_of(f64::from(tick))?;
        Some(moment.checked_sub(EARLY).unwrap_or(moment))
    }

    fn moment_of(&self, tick: f64) -> Option<Instant> {
        let (at, origin) = self.origin?;
        let ahead = ((tick - origin) * self.tick_s).max(0.0);
        Some(at + Duration::from_secs_f64(ahead) + ROUNDING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    #[test]
    fn inputs_are_due_a_little_before_their_tick() {
        let (mut clock, start) = (ServerClock::new(TICK), Instant::now());
        assert_eq!(clock.input_due(start), None);
        clock.observe(100, None, start);
        assert_eq!(clock.input_due(start), Some(102));
        assert_eq!(clock.input_due(start + TICK * 5), Some(107));
    }

    #[test]
    fn an_input_is_due_at_its_moment_and_not_before() {
        let (mut clock, start) = (ServerClock::new(TICK), Instant::now());
        assert_eq!(clock.input_due_at(100), None);
        clock.observe(100, None, start);
        for tick in 103..110 {
            let due = clock.input_due_at(tick).expect("a clock");
            assert_eq!(clock.input_due(due), Some(tick));
            let before = due.checked_sub(ROUNDING * 2).expect("a moment");
            assert_eq!(clock.input_due(before), Some(tick - 1));
        }
        // What is due already does not become due in the past.
        assert_eq!(clock.input_due_at(90), Some(start + ROUNDING));
        let due = clock.snapshot_due_at(103).expect("a clock");
        assert_eq!(due + EARLY, start + TICK * 3 + ROUNDING);
    }

    #[test]
    fn a_late_snapshot_hardly_moves_the_clock_and_an_early_one_does_at_once() {
        let (mut clock, start) = (ServerClock::new(TICK), Instant::now());
        clock.observe(100, None, start);
        clock.observe(103, None, start + TICK * 6);
        assert_eq!(clock.input_due(start + TICK * 6), Some(107));
        clock.observe(112, None, start + TICK * 9);
        assert_eq!(clock.input_due(start + TICK * 9), Some(114));
    }

    #[test]
    fn the_clock_stays_right_when_snapshots_are_looked_for_only_when_they_are_due() {
        const LOOK: Duration = Duration::from_micros(2_780);
        let (mut clock, start) = (ServerClock::new(TICK), Instant::now());
        let mut looks = (0..).map(|number| start + LOOK * number);
        for tick in (0..6_000).step_by(3) {
            let comes = start + TICK * tick;
            let due = clock.snapshot_due_at(tick).unwrap_or(start);
            let seen = looks.find(|look| *look >= due && *look >= comes);
            clock.observe(tick, None, seen.expect("there is always another look"));
        }
        let now = start + TICK * 6_000;
        let expected = clock.server_tick(now).expect("a clock");
        assert!((5_999.5..=6_000.0).contains(&expected), "{expected}");
    }

    #[test]
    fn the_lead_grows_at_once_when_inputs_are_late() {
        let (mut clock, start) = (ServerClock::new(TICK), Instant::now());
        clock.observe(100, Some(-4), start);
        assert_eq!(clock.input_due(start), Some(104));
        // What was sent before the correction is late too, and is no news.
        clock.observe(100, Some(-4), start);
        assert_eq!(clock.input_due(start), Some(104));
    }

    #[test]
    fn a_longer_tick_does_not_make_the_lead_longer() {
        let (tick, start) = (TICK * 5, Instant::now());
        let lead_of = |clock: &ServerClock| {
            let due = clock.input_due_at(200).expect("a clock");
            (start + tick * 100).saturating_duration_since(due)
        };
        let assert_lead = |clock: &ServerClock, ms: f64| {
            let lead = lead_of(clock).as_secs_f64() * 1e3;
            assert!((lead - ms).abs() < 0.1, "{lead} and not {ms} ms");
        };
        let mut clock = ServerClock::new(tick);
        clock.observe(100, None, start);
        assert_lead(&clock, 33.3);
        clock.observe(100, Some(-1), start);
        assert_lead(&clock, 41.7);
        for _ in 0..HOLD + WINDOW {
            clock.observe(100, Some(0), start);
        }
        assert_lead(&clock, 40.0);
    }

    #[test]
    fn the_lead_shrinks_while_all_inputs_come_early() {
        let (mut clock, start) = (ServerClock::new(TICK), Instant::now());
        for _ in 0..WINDOW - 1 {
            clock.observe(100, Some(4), start);
        }
        assert_eq!(clock.input_due(start), Some(102));
        clock.observe(100, Some(2), start);
        assert_eq!(clock.input_due(start), Some(101));
    }
}
