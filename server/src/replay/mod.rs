//! Plays recorded matches again: the same App, the same inputs, no connections. The outcome must be
//! what the log contains, tick for tick.
//!
//! A log is not believed in anything: one that was made up ends as an error.
//!
//! Reading order: [`mod@verify`], [`rerun`].

pub mod rerun;
pub mod verify;

pub use rerun::{Rerun, RerunError};
pub use verify::{Divergence, Evidence, Verdict, VerifyReport, verify, verify_from};
