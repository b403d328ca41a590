//! What canaries find, second by second and in the report.

use std::ops::{AddAssign, Sub};

use serde::Serialize;

/// Counts of all canaries.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct CanaryCounts {
    /// Let in.
    pub(crate) connected: u64,
    /// Not let in.
    pub(crate) refused: u64,
    /// Those of them that were told when to try again.
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

impl AddAssign for CanaryCounts {
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

impl Sub for CanaryCounts {
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

/// What the canaries found: of the part of a run that counts, but for the states, which must never
/// be wrong. The names are part of the contract with scripts.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CanaryFigures {
    /// Ticks of the own players whose prediction could be compared with the server's state.
    pub predicted_ticks: u64,
    /// Of these, ticks that were predicted wrongly.
    pub mispredicted_ticks: u64,
    /// Rollbacks a minute and canary.
    pub rollbacks_per_min: f64,
    /// Ticks that a rollback repeated, the mean.
    pub rollback_depth_mean: f64,
    /// States of an entity in a tick that two canaries of a match were shown.
    pub compared_states: u64,
    /// Of these, states that they were shown differently.
    pub wrong_states: u64,
}

impl CanaryFigures {
    /// None when no canary played.
    pub(crate) fn of(counted: &CanaryCounts, all: &CanaryCounts) -> Option<Self> {
        let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let rollbacks = counted.rollbacks as f64;
        (counted.seconds > 0.0).then(|| Self {
            predicted_ticks: counted.predicted_ticks,
            mispredicted_ticks: counted.mispredicted_ticks,
            rollbacks_per_min: ratio(rollbacks * 60.0, counted.seconds),
            rollback_depth_mean: ratio(counted.rollback_ticks as f64, rollbacks),
            compared_states: all.compared_states,
            wrong_states: all.wrong_states,
        })
    }

    /// For the gate; none when nothing was compared.
    pub(crate) fn wrong_states(&self) -> Option<f64> {
        (self.compared_states > 0).then_some(self.wrong_states as f64)
    }

    /// Mispredicted of the ticks that were compared, 0–1; none without any.
    pub(crate) fn mispredicted_share(&self) -> Option<f64> {
        let share = self.mispredicted_ticks as f64 / self.predicted_ticks as f64;
        (self.predicted_ticks > 0).then_some(share)
    }

    /// One line for the summary.
    pub(crate) fn line(&self) -> String {
        format!(
            "canaries: {} of {} states wrong, {} of {} ticks mispredicted, \
             {:.1} rollbacks a minute of {:.1} ticks",
            self.wrong_states,
            self.compared_states,
            self.mispredicted_ticks,
            self.predicted_ticks,
            self.rollbacks_per_min,
            self.rollback_depth_mean,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_what_counts_and_wrong_states_of_everything() {
        let ramp = CanaryCounts {
            seconds: 10.0,
            rollbacks: 40,
            rollback_ticks: 40,
            predicted_ticks: 100,
            mispredicted_ticks: 90,
            compared_states: 20,
            wrong_states: 1,
            ..CanaryCounts::default()
        };
        let counted = CanaryCounts {
            seconds: 120.0,
            rollbacks: 10,
            rollback_ticks: 35,
            predicted_ticks: 400,
            mispredicted_ticks: 2,
            compared_states: 50,
            ..CanaryCounts::default()
        };
        let mut all = ramp;
        all += counted;
        assert_eq!(all - ramp, counted);
        let figures = CanaryFigures::of(&counted, &all).unwrap();
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
        let none = CanaryCounts::default();
        assert!(CanaryFigures::of(&none, &none).is_none());
        let figures = CanaryFigures::default();
        assert_eq!(figures.wrong_states(), None);
        assert_eq!(figures.mispredicted_share(), None);
    }
}
