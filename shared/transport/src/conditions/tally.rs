//! What the conditions did, in numbers. Counting never waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Packets of both directions so far. For TCP a packet is a segment of what was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// That were to be carried.
    pub packets: u64,
    /// That were lost on the way; those of TCP came later.
    pub lost: u64,
    /// That arrived twice.
    pub duplicated: u64,
    /// That skipped the delay.
    pub overtook: u64,
    /// Dropped because the rate's queue was full.
    pub over_rate: u64,
    /// Dropped because too many were under way.
    pub no_room: u64,
    /// Connections whose state was forgotten because there were too many.
    pub forgotten: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) packets: Counter,
    pub(super) lost: Counter,
    pub(super) duplicated: Counter,
    pub(super) overtook: Counter,
    pub(super) over_rate: Counter,
    pub(super) no_room: Counter,
    pub(super) forgotten: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        // No count here is near 2^64.
        self.0.fetch_add(count as u64, Relaxed);
    }
}

impl Counters {
    pub(super) fn tally(&self) -> Tally {
        let read = |counter: &Counter| counter.0.load(Relaxed);
        Tally {
            packets: read(&self.packets),
            lost: read(&self.lost),
            duplicated: read(&self.duplicated),
            overtook: read(&self.overtook),
            over_rate: read(&self.over_rate),
            no_room: read(&self.no_room),
            forgotten: read(&self.forgotten),
        }
    }
}
