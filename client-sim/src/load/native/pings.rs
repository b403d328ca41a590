//! Pings as lightyear's clients send them: how long the way there and back takes, the server's
//! wait for its tick included, and how much that varies.

use std::time::{Duration, Instant};

/// Time between two pings: lightyear's default.
const INTERVAL: Duration = Duration::from_millis(100);
/// Pings that may be under way; older ones count as lost.
const UNDER_WAY: usize = 16;
/// Weight of a new sample in the mean, and in the deviation (RFC 6298 §2).
const MEAN_WEIGHT: f64 = 1.0 / 8.0;
const DEVIATION_WEIGHT: f64 = 1.0 / 4.0;
/// Deviations that are added to the round trip, and ticks besides: what the client plugin takes.
const DEVIATIONS: f64 = 4.0;
const LEAD_TICKS: f64 = 2.0;

/// The pings of one connection.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    due: Option<Instant>,
    next: u16,
    sent: [Option<(u16, Instant)>; UNDER_WAY],
    /// Mean and deviation, seconds.
    round_trip: Option<(f64, f64)>,
}

impl Pings {
    /// The number of the ping that is due, if one is.
    pub(crate) fn next(&mut self, now: Instant) -> Option<u16> {
        if self.due.is_some_and(|due| now < due) {
            return None;
        }
        self.due = Some(now + INTERVAL);
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.sent[usize::from(number) % UNDER_WAY] = Some((number, now));
        Some(number)
    }

    /// The answer came; the server kept the ping for so long.
    pub(crate) fn answered(&mut self, number: u16, kept: Duration, now: Instant) {
        let place = &mut self.sent[usize::from(number) % UNDER_WAY];
        let Some((_, at)) = place.take_if(|sent| sent.0 == number) else {
            return;
        };
        let sample = now.saturating_duration_since(at).saturating_sub(kept);
        let sample = sample.as_secs_f64();
        self.round_trip = Some(match self.round_trip {
            None => (sample, sample / 2.0),
            Some((mean, deviation)) => (
                mean + (sample - mean) * MEAN_WEIGHT,
                deviation + ((sample - mean).abs() - deviation) * DEVIATION_WEIGHT,
            ),
        });
    }

    /// The mean; none before the first answer.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
            .map(|(mean, _)| Duration::from_secs_f64(mean))
    }

    /// By how many ticks inputs have to be ahead of the newest tick received, when they
    /// wait for no other to go with.
    pub(crate) fn lead(&self, tick: Duration) -> Option<f64> {
        let (mean, deviation) = self.round_trip?;
        Some((mean + deviation * DEVIATIONS) / tick.as_secs_f64() + LEAD_TICKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_ping_is_sent_ten_times_a_second() {
        let (mut pings, start) = (Pings::default(), Instant::now());
        let numbers: Vec<_> = (0..1_000)
            .filter_map(|ms| pings.next(start + MS * ms))
            .collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn the_lead_covers_the_round_trip_and_what_it_varies_by() {
        let (mut pings, start) = (Pings::default(), Instant::now());
        let tick = MS * 10;
        assert_eq!(pings.lead(tick), None);
        for ping in 0..100 {
            let now = start + INTERVAL * ping;
            let number = pings.next(now).unwrap();
            pings.answered(number, MS * 5, now + MS * 35);
            pings.answered(number, MS, now + MS * 90);
        }
        let lead = pings.lead(tick).unwrap();
        assert!((5.0..5.01).contains(&lead), "30 ms are 3 ticks: {lead}");
        let now = start + INTERVAL * 100;
        let number = pings.next(now).unwrap();
        pings.answered(number, Duration::ZERO, now + MS * 70);
        assert!(pings.lead(tick).unwrap() > 9.0);
    }

    #[test]
    fn an_answer_to_nothing_changes_nothing() {
        let mut pings = Pings::default();
        pings.answered(7, Duration::ZERO, Instant::now());
        assert_eq!(pings.round_trip(), None);
    }
}
