//! Records when the input of each tick was sent, and measures how long the state of that tick took.

use std::ops::Range;
use std::time::Instant;

use super::latency_probe::LatencyProbe;

/// Ticks whose sending times are kept: longer than any answer takes that is worth measuring.
const TICKS_KEPT: usize = 256;
/// Ticks that one state answers at most; it is longer than from one state to the next.
const ANSWERED_MAX: u32 = 16;

/// The inputs of one player.
#[derive(Debug)]
pub(super) struct SentInputs {
    /// Tick of the newest input; 0 before the first.
    newest: u32,
    /// By tick modulo the length.
    sent: Vec<Option<(u32, Instant)>>,
    /// The newest tick whose answer was measured.
    answered: u32,
}

impl Default for SentInputs {
    fn default() -> Self {
        Self {
            newest: 0,
            sent: vec![None; TICKS_KEPT],
            answered: 0,
        }
    }
}

impl SentInputs {
    /// Tick of the newest input; 0 before the first.
    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// The inputs up to this tick are sent now. Returns the ticks that were not sent before, at
    /// most so many.
    pub(super) fn record(&mut self, due: u32, ticks_max: u32, now: Instant) -> Range<u32> {
        let new = due.saturating_sub(self.newest).min(ticks_max);
        let ticks = due + 1 - new..due + 1;
        for tick in ticks.clone() {
            self.sent[tick as usize % TICKS_KEPT] = Some((tick, now));
        }
        self.newest = self.newest.max(due);
        ticks
    }

    /// The state of this tick came.
    pub(super) fn answered_up_to(
        &mut self,
        tick: u32,
        now: Instant,
        probe: &mut impl LatencyProbe,
    ) {
        let first = (self.answered + 1).max(tick.saturating_sub(ANSWERED_MAX));
        for tick in first..=tick {
            let sent = self.sent[tick as usize % TICKS_KEPT];
            if let Some((_, at)) = sent.filter(|sent| sent.0 == tick) {
                probe.input_answered(now.saturating_duration_since(at));
            }
        }
        self.answered = tick;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Answers(Vec<Duration>);

    impl LatencyProbe for Answers {
        fn snapshot_received(&mut self) {}

        fn input_answered(&mut self, after: Duration) {
            self.0.push(after);
        }

        fn input_sent(&mut self) {}
    }

    #[test]
    fn each_input_is_answered_once_by_the_first_state_that_covers_it() {
        let (mut sent_inputs, start) = (SentInputs::default(), Instant::now());
        let ms = |ms| Duration::from_millis(ms);
        assert_eq!(sent_inputs.record(10, 3, start), 8..11);
        assert!(sent_inputs.record(10, 3, start + ms(1)).is_empty());
        assert_eq!(sent_inputs.record(11, 3, start + ms(16)), 11..12);
        let mut answers = Answers::default();
        sent_inputs.answered_up_to(9, start + ms(30), &mut answers);
        sent_inputs.answered_up_to(12, start + ms(80), &mut answers);
        sent_inputs.answered_up_to(12, start + ms(90), &mut answers);
        assert_eq!(answers.0, [30, 30, 80, 64].map(ms));
    }
}
