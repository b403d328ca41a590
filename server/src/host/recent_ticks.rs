//! Tracks how long the latest ticks of a match took. It receives the times and reads no clock.

use std::time::Duration;

/// Ticks that are remembered: a little more than four seconds at 60 Hz.
const TICKS: usize = 256;
/// Longest ticks that are ignored: one in a hundred, but never fewer, because a single one may be
/// the machine's fault.
const FORGIVEN_MIN: usize = 2;

/// A ring of the latest times, and what they add up to since they were last asked for.
#[derive(Debug)]
pub(super) struct RecentTicks {
    microseconds: [u32; TICKS],
    /// Ticks so far; the next one goes to this place modulo the length.
    ticks: usize,
    worked: Duration,
}

impl Default for RecentTicks {
    fn default() -> Self {
        Self {
            microseconds: [0; TICKS],
            ticks: 0,
            worked: Duration::ZERO,
        }
    }
}

impl RecentTicks {
    /// Adds a tick.
    pub(super) fn record(&mut self, time: Duration) {
        let microseconds = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.microseconds[self.ticks % TICKS] = microseconds;
        self.ticks = self.ticks.wrapping_add(1);
        self.worked += time;
    }

    /// Time worked since the last call.
    pub(super) fn take_worked(&mut self) -> Duration {
        std::mem::take(&mut self.worked)
    }

    /// The time that all but one in a hundred of the latest ticks did not exceed, so many ticks
    /// being looked at, at most all that are remembered; zero before the third.
    pub(super) fn p99(&self, ticks: usize) -> Duration {
        let known = ticks.min(TICKS).min(self.ticks);
        let forgiven = FORGIVEN_MIN.max(known / 100);
        let Some(place) = known.checked_sub(forgiven + 1) else {
            return Duration::ZERO;
        };
        let mut latest = [0; TICKS];
        for (back, time) in latest[..known].iter_mut().enumerate() {
            *time = self.microseconds[self.ticks.wrapping_sub(back + 1) % TICKS];
        }
        let (_, time, _) = latest[..known].select_nth_unstable(place);
        Duration::from_micros((*time).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn one_long_tick_says_nothing_and_three_do() {
        let mut times = RecentTicks::default();
        assert_eq!(times.p99(240), Duration::ZERO);
        for _ in 0..237 {
            times.record(ms(3));
        }
        times.record(ms(900));
        times.record(ms(900));
        assert_eq!(times.p99(240), ms(3));
        times.record(ms(20));
        assert_eq!(times.p99(240), ms(20));
    }

    #[test]
    fn old_ticks_are_forgotten() {
        let mut times = RecentTicks::default();
        for _ in 0..300 {
            times.record(ms(50));
        }
        for _ in 0..80 {
            times.record(ms(4));
        }
        assert_eq!(times.p99(80), ms(4));
        assert_eq!(times.p99(100), ms(50));
        for _ in 0..TICKS {
            times.record(ms(1));
        }
        assert_eq!(times.p99(usize::MAX), ms(1));
    }

    #[test]
    fn work_is_told_once() {
        let mut times = RecentTicks::default();
        times.record(ms(3));
        times.record(ms(4));
        assert_eq!(times.take_worked(), ms(7));
        assert_eq!(times.take_worked(), Duration::ZERO);
    }
}
