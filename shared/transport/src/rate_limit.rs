//! Limits what a peer may send: a rate that no honest client comes near, with room for what a
//! broken network brings all at once. A client that sends more is closed, because what is only
//! dropped costs the server as long as it comes. It knows no connection.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{INCOMING_BURST_MAX, INCOMING_PER_S_MAX, INCOMING_UNIT_BYTES};

/// A bucket that fills by time and is emptied by what comes.
#[derive(Debug)]
pub(crate) struct RateLimit(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Messages that may come now, in nanoseconds of the rate.
    left: Duration,
    filled: Instant,
}

/// The time in which one message may come.
const EACH: Duration = Duration::from_nanos(1_000_000_000 / INCOMING_PER_S_MAX as u64);
/// The full bucket.
const FULL: Duration = EACH.saturating_mul(INCOMING_BURST_MAX);

impl RateLimit {
    /// A full bucket.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bucket {
            left: FULL,
            filled: Instant::now(),
        }))
    }

    /// Counts a message of so many bytes; false when it is one too many. A long one counts as
    /// several.
    pub(crate) fn admits(&self, bytes: usize) -> bool {
        let units = u32::try_from(bytes / INCOMING_UNIT_BYTES).unwrap_or(u32::MAX);
        let price = EACH.saturating_mul(units.saturating_add(1));
        let now = Instant::now();
        // A panic elsewhere cannot leave it half changed.
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = bucket.left + now.duration_since(bucket.filled);
        bucket.filled = now;
        let left = grown.min(FULL).checked_sub(price);
        bucket.left = left.unwrap_or_default();
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_player_with_a_broken_network_may_send_what_waited() {
        let limit = RateLimit::new();
        for _ in 0..10 {
            // Three seconds of a game of 240 ticks a second, all at once.
            assert!((0..720).all(|_| limit.admits(100)));
            tokio::time::advance(Duration::from_secs(3)).await;
        }
    }

    /// Messages of a steady flood until one is too many.
    async fn sent_before_the_end(limit: &RateLimit, per_second: u32) -> u32 {
        let pause = Duration::from_secs(1) / per_second;
        let mut sent = 0;
        while limit.admits(0) {
            sent += 1;
            tokio::time::advance(pause).await;
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_noticed_within_a_second() {
        for per_second in [9_500, 53_000] {
            let limit = RateLimit::new();
            let sent = sent_before_the_end(&limit, per_second).await;
            assert!(sent < per_second, "{sent} of {per_second}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn long_messages_count_as_several() {
        let limit = RateLimit::new();
        let most = INCOMING_BURST_MAX as usize;
        let admitted = (0..most).take_while(|_| limit.admits(9 * 1024)).count();
        assert_eq!(admitted, most / 10);
    }
}
