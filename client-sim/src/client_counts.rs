//! Adds up what full clients count while they play.

use std::ops::{AddAssign, Sub};

use crate::bot::BotStats;
use crate::report::ClientFigures;

/// Counts of any number of full clients.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ClientCounts {
    /// Admitted.
    pub(crate) connected: u64,
    /// Refused.
    pub(crate) refused: u64,
    /// Those of them that know when to try again.
    pub(crate) refused_saying_when: u64,
    /// Seconds with an avatar.
    pub(crate) seconds: f64,
    pub(crate) predicted_ticks: u64,
    pub(crate) mispredicted_ticks: u64,
    pub(crate) rollbacks: u64,
    pub(crate) rollback_ticks: u64,
    pub(crate) compared_states: u64,
    pub(crate) wrong_states: u64,
}

impl AddAssign for ClientCounts {
    fn add_assign(&mut self, other: Self) {
        self.connected += other.connected;
        self.refused += other.refused;
        self.refused_saying_when += other.refused_saying_when;
        self.seconds += other.seconds;
        self.predicted_ticks += other.predicted_ticks;
        self.mispredicted_ticks += other.mispredicted_ticks;
        self.rollbacks += other.rollbacks;
        self.rollback_ticks += other.rollback_ticks;
        self.compared_states += other.compared_states;
        self.wrong_states += other.wrong_states;
    }
}

impl Sub for ClientCounts {
    type Output = Self;

    /// What came since an earlier count.
    fn sub(self, before: Self) -> Self {
        Self {
            connected: self.connected - before.connected,
            refused: self.refused - before.refused,
            refused_saying_when: self.refused_saying_when - before.refused_saying_when,
            seconds: self.seconds - before.seconds,
            predicted_ticks: self.predicted_ticks - before.predicted_ticks,
            mispredicted_ticks: self.mispredicted_ticks - before.mispredicted_ticks,
            rollbacks: self.rollbacks - before.rollbacks,
            rollback_ticks: self.rollback_ticks - before.rollback_ticks,
            compared_states: self.compared_states - before.compared_states,
            wrong_states: self.wrong_states - before.wrong_states,
        }
    }
}

impl From<&BotStats> for ClientCounts {
    /// What the client itself knows.
    fn from(bot: &BotStats) -> Self {
        let connected = bot.transport.is_some();
        Self {
            connected: connected.into(),
            refused: (!connected && bot.end.is_some()).into(),
            seconds: bot.seconds,
            predicted_ticks: bot.prediction.predicted_ticks,
            mispredicted_ticks: bot.prediction.mispredicted_ticks,
            rollbacks: bot.rollbacks.into(),
            rollback_ticks: bot.rollback_ticks.into(),
            ..Self::default()
        }
    }
}

/// The report's numbers; none when no client played.
pub(crate) fn figures(counted: &ClientCounts, all: &ClientCounts) -> Option<ClientFigures> {
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let rollbacks = counted.rollbacks as f64;
    (counted.seconds > 0.0).then(|| ClientFigures {
        predicted_ticks: counted.predicted_ticks,
        mispredicted_ticks: counted.mispredicted_ticks,
        rollbacks_per_min: ratio(rollbacks * 60.0, counted.seconds),
        rollback_depth_mean: ratio(counted.rollback_ticks as f64, rollbacks),
        compared_states: all.compared_states,
        wrong_states: all.wrong_states,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_what_counts_and_wrong_states_of_everything() {
        let ramp = ClientCounts {
            seconds: 10.0,
            rollbacks: 40,
            rollback_ticks: 40,
            predicted_ticks: 100,
            mispredicted_ticks: 90,
            compared_states: 20,
            wrong_states: 1,
            ..ClientCounts::default()
        };
        let counted = ClientCounts {
            seconds: 120.0,
            rollbacks: 10,
            rollback_ticks: 35,
            predicted_ticks: 400,
            mispredicted_ticks: 2,
            compared_states: 50,
            ..ClientCounts::default()
        };
        let mut all = ramp;
        all += counted;
        assert_eq!(all - ramp, counted);
        let figures = figures(&counted, &all).unwrap();
        let share = figures.mispredicted_share().unwrap();
        assert!((share - 0.005).abs() < 1e-9, "{share}");
        let per_min = figures.rollbacks_per_min;
        assert!((per_min - 5.0).abs() < 1e-9, "{per_min}");
        let depth = figures.rollback_depth_mean;
        assert!((depth - 3.5).abs() < 1e-9, "{depth}");
        assert_eq!(figures.wrong_states(), Some(1.0));
    }

    #[test]
    fn what_was_not_looked_at_is_not_measured() {
        let none = ClientCounts::default();
        assert!(figures(&none, &none).is_none());
        let figures = ClientFigures::default();
        assert_eq!(figures.wrong_states(), None);
        assert_eq!(figures.mispredicted_share(), None);
    }
}
