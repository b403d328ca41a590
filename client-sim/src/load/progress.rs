//! What an observer of a run is given every second.

use std::time::Duration;

use crate::report::LoadReport;

/// A run under way, as its observer sees it.
#[derive(Debug)]
pub struct Progress<'a> {
    /// What is known so far; the newest second is the last of its series.
    pub report: &'a LoadReport,
    /// What goes on.
    pub phase: Phase,
    /// Time since the run began.
    pub elapsed: Duration,
    /// Time that the run takes in all.
    pub whole: Duration,
}

/// Parts of a run, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Bots join; nothing counts.
    Ramp,
    /// What happens counts.
    Measuring,
    /// Everybody leaves.
    Leaving,
    /// Everybody has left, and the server's metrics are watched.
    Settling,
}
