//! Counts the bytes that wait to be sent, over all connections of a listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The sum over many queues. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnsentBytes(Arc<AtomicUsize>);

impl UnsentBytes {
    /// What waits.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// One of the queues had so many bytes and has so many now.
    pub(crate) fn changed(&self, before: usize, now: usize) {
        if now > before {
            self.0.fetch_add(now - before, Relaxed);
        } else if before > now {
            self.0.fetch_sub(before - now, Relaxed);
        }
    }
}
