//! What each bot had of the time that counts, as rates a second: each bot counts once, however long
//! it stayed.

use hdrhistogram::Histogram;

/// A bot that was there for less says nothing: one snapshot more or less would be too much.
const STAY_MIN_S: f64 = 2.0;
/// Significant digits of the rates.
const DIGITS: u8 = 3;
/// No rate is higher, in bytes a second.
const RATE_MAX: u64 = 1 << 40;
/// Snapshots are counted in thousandths.
const PARTS: f64 = 1e3;

/// One bot's part of the time that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct BotTraffic {
    pub(super) seconds: f64,
    pub(super) snapshots: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// The rates of many bots.
#[derive(Debug, Clone)]
pub(super) struct BotRates {
    snapshots: Histogram<u64>,
    bytes_in: Histogram<u64>,
    bytes_out: Histogram<u64>,
}

impl Default for BotRates {
    fn default() -> Self {
        let empty = || Histogram::new(DIGITS).expect("the digits are those of the library");
        Self {
            snapshots: empty(),
            bytes_in: empty(),
            bytes_out: empty(),
        }
    }
}

impl BotRates {
    /// Records a bot, unless it was there too shortly.
    pub(super) fn record(&mut self, traffic: &BotTraffic) {
        if traffic.seconds < STAY_MIN_S {
            return;
        }
        let record = |rates: &mut Histogram<u64>, count: u64, parts: f64| {
            let rate = whole(count as f64 * parts / traffic.seconds).min(RATE_MAX);
            // There is always room: the histogram grows, and the rate is bounded.
            let _ = rates.record(rate);
        };
        record(&mut self.snapshots, traffic.snapshots, PARTS);
        record(&mut self.bytes_in, traffic.bytes_in, 1.0);
        record(&mut self.bytes_out, traffic.bytes_out, 1.0);
    }

    /// Adds other bots.
    pub(super) fn add(&mut self, other: &Self) {
        self.snapshots += &other.snapshots;
        self.bytes_in += &other.bytes_in;
        self.bytes_out += &other.bytes_out;
    }

    /// Snapshots a second of the bot in the middle.
    pub(super) fn snapshots_median(&self) -> Option<f64> {
        at(&self.snapshots, 0.5).map(|parts| parts / PARTS)
    }

    /// Snapshots a second of the bot with the fewest.
    pub(super) fn snapshots_min(&self) -> Option<f64> {
        at(&self.snapshots, 0.0).map(|parts| parts / PARTS)
    }

    /// Payload bytes a second that all but one of twenty bots do not exceed, received and sent.
    pub(super) fn bytes_p95(&self) -> Option<(f64, f64)> {
        at(&self.bytes_in, 0.95).zip(at(&self.bytes_out, 0.95))
    }
}

fn at(rates: &Histogram<u64>, share: f64) -> Option<f64> {
    (!rates.is_empty()).then(|| rates.value_at_quantile(share) as f64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive, and one beyond the integers saturates"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(seconds: f64, snapshots: u64) -> BotTraffic {
        BotTraffic {
            seconds,
            snapshots,
            bytes_in: snapshots * 100,
            bytes_out: snapshots * 10,
        }
    }

    #[test]
    fn a_bot_counts_by_its_rate_and_not_by_its_time() {
        let mut rates = BotRates::default();
        assert_eq!(rates.snapshots_median(), None);
        for _ in 0..9 {
            rates.record(&traffic(60.0, 1_200));
        }
        let mut others = BotRates::default();
        others.record(&traffic(10.0, 150));
        rates.add(&others);
        let (middle, fewest) = (rates.snapshots_median(), rates.snapshots_min());
        assert!((middle.unwrap() - 20.0).abs() < 0.03, "{middle:?}");
        assert!((fewest.unwrap() - 15.0).abs() < 0.03, "{fewest:?}");
        let (down, up) = rates.bytes_p95().unwrap();
        assert!((down - 2_000.0).abs() < 3.0, "{down}");
        assert!((up - 200.0).abs() < 1.0, "{up}");
    }

    #[test]
    fn a_bot_that_was_hardly_there_says_nothing() {
        let mut rates = BotRates::default();
        rates.record(&traffic(1.9, 0));
        assert_eq!(rates.snapshots_min(), None);
        rates.record(&traffic(2.0, 0));
        assert_eq!(rates.snapshots_min(), Some(0.0));
    }
}
