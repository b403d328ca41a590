//! When the input of each tick was sent, and how long it took until the state of that tick came.

use std::ops::Range;
use std::time::Instant;

use super::thin_bot::Witness;

/// Ticks whose sending times are kept: longer than any answer takes that is worth measuring.
const KEPT_TICKS: usize = 256;
/// Ticks that one state answers at most; it is longer than from one state to the next.
const ANSWERED_MAX: u32 = 16;

/// The inputs of one player.
#[derive(Debug)]
pub(super) struct Sendings {
    /// Tick of the newest input; 0 before the first.
    newest: u32,
    /// By tick modulo the length.
    sent: Vec<Option<(u32, Instant)>>,
    /// The newest tick whose answer was measured.
    answered: u32,
}

impl Default for Sendings {
    fn default() -> Self {
        Self {
            newest: 0,
            sent: vec![None; KEPT_TICKS],
            answered: 0,
        }
    }
}

impl Sendings {
    /// Tick of the newest input; 0 before the first.
    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// The inputs up to this tick are sent now. Returns the ticks that were not sent before, at
    /// most so many.
    pub(super) fn note(&mut self, due: u32, ticks_max: u32, now: Instant) -> Range<u32> {
        let new = due.saturating_sub(self.newest).min(ticks_max);
        let ticks = due + 1 - new..due + 1;
        for tick in ticks.clone() {
            self.sent[tick as usize % KEPT_TICKS] = Some((tick, now));
        }
        self.newest = self.newest.max(due);
        ticks
    }

    /// The state of this tick came.
    pub(super) fn answered_up_to(&mut self, tick: u32, now: Instant, witness: &mut impl Witness) {
        let first = (self.answered + 1).max(tick.saturating_sub(ANSWERED_MAX));
        for tick in first..=tick {
            let sent = self.sent[tick as usize % KEPT_TICKS];
            if let Some((_, at)) = sent.filter(|sent| sent.0 == tick) {
                witness.answered(now.saturating_duration_since(at));
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

    impl Witness for Answers {
        fn snapshot(&mut self) {}

        fn answered(&mut self, after: Duration) {
            self.0.push(after);
        }

        fn input(&mut self) {}
    }

    #[test]
    fn each_input_is_answered_once_by_the_first_state_that_covers_it() {
        let (mut sendings, start) = (Sendings::default(), Instant::now());
        let ms = |ms| Duration::from_millis(ms);
        assert_eq!(sendings.note(10, 3, start), 8..11);
        assert!(sendings.note(10, 3, start + ms(1)).is_empty());
        assert_eq!(sendings.note(11, 3, start + ms(16)), 11..12);
        let mut answers = Answers::default();
        sendings.answered_up_to(9, start + ms(30), &mut answers);
        sendings.answered_up_to(12, start + ms(80), &mut answers);
        sendings.answered_up_to(12, start + ms(90), &mut answers);
        assert_eq!(answers.0, [30, 30, 80, 64].map(ms));
    }
}
