//! What is counted while bots play: one page a second from each thread, added up by the run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::native::CanaryCounts;
use super::rates::Rates;
use super::thin_bot::Witness;

/// Longest time that is told apart, in microseconds: a minute.
const LONGEST_US: u64 = 60_000_000;
/// Significant digits of the times.
const DIGITS: u8 = 3;

/// Times, by how often they occurred.
#[derive(Debug, Clone)]
pub(super) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LONGEST_US, DIGITS);
        Self(histogram.expect("the bounds are those of the library"))
    }
}

impl Times {
    /// Notes a time; what is longer than a minute counts as one.
    pub(super) fn note(&mut self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(microseconds.min(LONGEST_US));
    }

    /// Adds all of another one's.
    pub(super) fn add(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time in milliseconds that this share, 0–1, does not exceed; none without any.
    pub(super) fn ms_at(&self, share: f64) -> Option<f64> {
        let any = self.count() > 0;
        any.then(|| self.0.value_at_quantile(share) as f64 / 1e3)
    }

    /// Upper ends in milliseconds and how many lie below each and above the one before; at most so
    /// many rows.
    pub(super) fn rows(&self, rows_max: u64) -> Vec<(f64, u64)> {
        let longest = self.0.value_at_quantile(0.999).max(1);
        let step = longest.div_ceil(rows_max.max(1));
        let rows = self.0.iter_linear(step);
        rows.map(|row| {
            (
                row.value_iterated_to() as f64 / 1e3,
                row.count_since_last_iteration(),
            )
        })
        .take(usize::try_from(rows_max).unwrap_or(usize::MAX))
        .collect()
    }
}

/// What happened in one second, or in many.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    /// Bots that play at its end.
    pub(super) playing: usize,
    /// Those who watch.
    pub(super) watching: usize,
    /// Snapshots taken in.
    pub(super) snapshots: u64,
    /// Inputs sent.
    pub(super) inputs: u64,
    /// From sending a tick's input to having the state of that tick.
    pub(super) answered: Times,
    /// How late the bots' own work began.
    pub(super) lag: Times,
    /// How long tasks of the bots' network waited for their turn.
    pub(super) network_lag: Times,
    /// Round trips, one of each bot.
    pub(super) rtt: Times,
    /// Payload bytes received.
    pub(super) bytes_in: u64,
    /// Payload bytes sent.
    pub(super) bytes_out: u64,
    /// Snapshots of each bot that played all the time.
    pub(super) snapshots_by_bot: Vec<u32>,
    /// What each bot has had of the time that counts so far.
    pub(super) rates: Rates,
    /// Opponents defeated so far.
    pub(super) kills: u64,
    /// Bots that left because they were asked to.
    pub(super) leaves: u64,
    /// What canaries found.
    pub(super) canaries: CanaryCounts,
    /// How bots ended, and how many so.
    pub(super) ends: BTreeMap<String, u64>,
}

impl Page {
    /// What all threads tell of one second.
    pub(super) fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut page = Self::default();
        parts.for_each(|part| page.add_beside(part));
        page
    }

    /// Adds another thread's page of the same second.
    pub(super) fn add_beside(&mut self, other: &Self) {
        self.playing += other.playing;
        self.watching += other.watching;
        self.kills += other.kills;
        self.rates.add(&other.rates);
        self.snapshots_by_bot
            .extend_from_slice(&other.snapshots_by_bot);
        self.add_counts(other);
    }

    /// Adds the next second. What belongs to single bots stays with the pages, and what is told
    /// as it stands so far replaces what stood.
    pub(super) fn add_after(&mut self, next: &Self) {
        (self.playing, self.watching) = (next.playing, next.watching);
        self.kills = next.kills;
        self.rates.clone_from(&next.rates);
        self.add_counts(next);
    }

    fn add_counts(&mut self, other: &Self) {
        self.snapshots += other.snapshots;
        self.inputs += other.inputs;
        self.leaves += other.leaves;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.answered.add(&other.answered);
        self.lag.add(&other.lag);
        self.network_lag.add(&other.network_lag);
        self.rtt.add(&other.rtt);
        self.canaries += other.canaries;
        for (why, count) in &other.ends {
            *self.ends.entry(why.clone()).or_default() += count;
        }
    }
}

impl Witness for Page {
    fn snapshot(&mut self) {
        self.snapshots += 1;
    }

    fn answered(&mut self, after: Duration) {
        self.answered.note(after);
    }

    fn input(&mut self) {
        self.inputs += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_times_is_read_in_milliseconds() {
        let mut times = Times::default();
        assert_eq!(times.ms_at(0.5), None);
        for ms in 1..=100 {
            times.note(Duration::from_millis(ms));
        }
        let p95 = times.ms_at(0.95).unwrap();
        assert!((p95 - 95.0).abs() < 0.2, "{p95}");
        times.note(Duration::from_hours(1));
        assert!(times.ms_at(1.0).unwrap() <= 60_100.0);
    }

    #[test]
    fn rows_hold_all_but_the_longest_times() {
        let mut times = Times::default();
        for ms in 1..=1_000 {
            times.note(Duration::from_millis(ms));
        }
        let rows = times.rows(10);
        assert_eq!(rows.len(), 10);
        let held: u64 = rows.iter().map(|row| row.1).sum();
        assert!(held >= 990, "{held}");
    }

    #[test]
    fn pages_of_one_second_add_up_and_later_ones_replace_who_plays() {
        let page = |playing| Page {
            playing,
            snapshots: 10,
            ends: [("time up".to_owned(), 1)].into(),
            ..Page::default()
        };
        let mut second = page(3);
        second.add_beside(&page(4));
        assert_eq!((second.playing, second.snapshots), (7, 20));
        let mut run = second.clone();
        run.add_after(&page(5));
        assert_eq!(
            (run.playing, run.snapshots, run.ends["time up"]),
            (5, 30, 3)
        );
    }
}
