//! Decides when in a tick each match of a worker is stepped: in a few groups, whose members
//! follow one another while the code and the tables that all of them use are still in the cache,
//! and between which the network has its turn. It does not know matches.

use std::time::{Duration, Instant};

/// Groups in a tick.
const GROUPS: u32 = 4;

/// Assigns matches to one group after the other.
#[derive(Debug)]
pub(super) struct Stagger {
    epoch: Instant,
    given: u32,
}

impl Stagger {
    /// Ticks are counted from this moment on.
    pub(super) fn since(epoch: Instant) -> Self {
        Self { epoch, given: 0 }
    }

    /// The first tick of the next match, less than a tick from now. Ticks of the same length have
    /// the same phase in all matches of a group.
    pub(super) fn first_due(&mut self, tick: Duration, now: Instant) -> Instant {
        let phase = (tick / GROUPS * (self.given % GROUPS)).as_nanos();
        self.given = self.given.wrapping_add(1);
        let elapsed = now.saturating_duration_since(self.epoch).as_nanos();
        let tick = tick.as_nanos();
        now + Duration::from_nanos_u128((tick + phase - elapsed % tick) % tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_nanos(16_666_667);

    #[test]
    fn every_fourth_match_shares_its_moments_whenever_it_starts() {
        let epoch = Instant::now();
        let mut stagger = Stagger::since(epoch);
        let starts = [0, 5, 40, 41, 3_600_123].map(Duration::from_millis);
        let dues = starts.map(|start| {
            let due = stagger.first_due(TICK, epoch + start);
            let wait = due - (epoch + start);
            assert!(wait < TICK, "{wait:?}");
            (due - epoch).as_nanos() % TICK.as_nanos()
        });
        let quarter = TICK.as_nanos() / 4;
        assert_eq!(dues, [0, quarter, 2 * quarter, 3 * quarter, 0]);
    }
}
