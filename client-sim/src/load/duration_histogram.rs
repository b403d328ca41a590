//! A histogram of durations. It does not know what is timed.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::Latency;

/// Rows in a report's histogram.
const ROWS_MAX: u64 = 60;
/// Longest time that is recorded, in microseconds: a minute.
const LONGEST_US: u64 = 60_000_000;
/// Significant digits of the times.
const DIGITS: u8 = 3;

/// Times, by how often they occurred.
#[derive(Debug, Clone)]
pub(super) struct DurationHistogram(Histogram<u64>);

impl Default for DurationHistogram {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LONGEST_US, DIGITS);
        Self(histogram.expect("the bounds are those of the library"))
    }
}

impl DurationHistogram {
    /// Records a time; what is longer than a minute counts as one.
    pub(super) fn record(&mut self, time: Duration) {
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
    fn rows(&self, rows_max: u64) -> Vec<(f64, u64)> {
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

    /// The report's numbers; none without any time.
    pub(super) fn latency(&self) -> Option<Latency> {
        Some(Latency {
            count: self.count(),
            p50: self.ms_at(0.5)?,
            p90: self.ms_at(0.9)?,
            p95: self.ms_at(0.95)?,
            p99: self.ms_at(0.99)?,
            max: self.ms_at(1.0)?,
            histogram: self.rows(ROWS_MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_times_is_read_in_milliseconds() {
        let mut times = DurationHistogram::default();
        assert_eq!(times.ms_at(0.5), None);
        for ms in 1..=100 {
            times.record(Duration::from_millis(ms));
        }
        let p95 = times.ms_at(0.95).unwrap();
        assert!((p95 - 95.0).abs() < 0.2, "{p95}");
        times.record(Duration::from_hours(1));
        assert!(times.ms_at(1.0).unwrap() <= 60_100.0);
    }

    #[test]
    fn rows_hold_all_but_the_longest_times() {
        let mut times = DurationHistogram::default();
        for ms in 1..=1_000 {
            times.record(Duration::from_millis(ms));
        }
        let rows = times.rows(10);
        assert_eq!(rows.len(), 10);
        let held: u64 = rows.iter().map(|row| row.1).sum();
        assert!(held >= 990, "{held}");
    }
}
