//! Whether a WebSocket's peer is alive: the round trip time, measured by pings, and how long
//! nothing was received. It sends nothing itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Measures the round trip by pings that carry the time they were sent.
pub(crate) struct Liveness {
    began: Instant,
    last_ping_us: AtomicU64,
    received_us: AtomicU64,
}

impl Liveness {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            last_ping_us: AtomicU64::new(u64::MAX),
            received_us: AtomicU64::new(0),
        }
    }

    /// Something was received.
    pub(crate) fn record(&self) {
        self.received_us.store(self.now_us(), Relaxed);
    }

    /// How long nothing was received.
    pub(crate) fn silence(&self) -> Duration {
        let received_us = self.received_us.load(Relaxed);
        Duration::from_micros(self.now_us().saturating_sub(received_us))
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
    /// the peer may send at will, mean nothing.
    pub(crate) fn round_trip(&self, stamp: &[u8]) -> Option<Duration> {
        let sent_us = u64::from_be_bytes(stamp.try_into().ok()?);
        let expected = sent_us == self.last_ping_us.swap(u64::MAX, Relaxed);
        expected.then(|| Duration::from_micros(self.now_us().saturating_sub(sent_us)))
    }
}
