//! The wall clock as an argument, so that services can be tested without waiting.
//!
//! The simulation never sees a clock: it counts ticks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// Tells the time. Services take a [`SharedClock`] and never call the operating system.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current wall-clock time in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// Milliseconds since 1970-01-01 UTC, the unit of tickets and of stored times.
    fn now_ms(&self) -> i64 {
        self.now().timestamp_millis()
    }
}

/// A clock that many tasks share.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that moves only when a test says so.
#[derive(Debug)]
pub struct ManualClock {
    unix_ms: AtomicI64,
}

impl ManualClock {
    /// Starts at `unix_ms` milliseconds after 1970-01-01 UTC.
    #[must_use]
    pub fn at_ms(unix_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            unix_ms: AtomicI64::new(unix_ms),
        })
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.unix_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.unix_ms.load(Ordering::SeqCst)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at_ms(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        clock.advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 1_250);
    }
}
