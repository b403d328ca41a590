//! The one way a command fails: which step, why, and how to repeat it.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// A failed step.
#[derive(Debug)]
pub(crate) struct Failure {
    step: String,
    reason: String,
    repeat: String,
}

impl Failure {
    /// `step` completes "failed to …" and `repeat` is a command to type.
    pub(crate) fn new(step: &str, reason: impl Display, repeat: &str) -> Self {
        Self {
            step: step.to_owned(),
            reason: reason.to_string(),
            repeat: repeat.to_owned(),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.reason)?;
        write!(out, "FAILED to {}; repeat with: {}", self.step, self.repeat)
    }
}

impl Error for Failure {}
