//! A WebSocket's signs of life: the round trip time, measured by its pings, and how long nothing
//! was heard.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Measures the round trip by pings that carry the time they were sent.
pub(crate) struct Pulse {
    began: Instant,
    last_ping_us: AtomicU64,
    heard_us: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            last_ping_us: AtomicU64::new(u64::MAX),
            heard_us: AtomicU64::new(0),
        }
    }

    /// Something was heard.
    pub(crate) fn hear(&self) {
        self.heard_us.store(self.now_us(), Relaxed);
    }

    /// How long nothing was heard.
    pub(crate) fn silence(&self) -> Duration {
        let heard_us = self.heard_us.load(Relaxed);
        Duration::from_micros(self.now_us().saturating_sub(heard_us))
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn stamp(&self) -> Bytes {
        let now_us = self.now_us();
        self.last_ping_us.store(now_us, Relaxed);
        Bytes::copy_from_slice(&now_us.to_be_bytes())
    }

    /// The time since the last ping, if this is its answer. Pongs that nobody asked for, which
    /// the peer may send at will, say nothing.
    pub(crate) fn round_trip(&self, stamp: &[u8]) -> Option<Duration> {
        let sent_us = u64::from_be_bytes(stamp.try_into().ok()?);
        let expected = sent_us == self.last_ping_us.swap(u64::MAX, Relaxed);
        expected.then(|| Duration::from_micros(self.now_us().saturating_sub(sent_us)))
    }
}
