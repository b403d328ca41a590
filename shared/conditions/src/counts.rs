//! Counts what the conditions did. Counting never waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Packets of both directions so far. For TCP a packet is a segment of what was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketCounts {
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
pub(crate) struct PacketCounters {
    pub(crate) packets: PacketCounter,
    pub(crate) lost: PacketCounter,
    pub(crate) duplicated: PacketCounter,
    pub(crate) overtook: PacketCounter,
    pub(crate) over_rate: PacketCounter,
    pub(crate) no_room: PacketCounter,
    pub(crate) forgotten: PacketCounter,
}

#[derive(Debug, Default)]
pub(crate) struct PacketCounter(AtomicU64);

impl PacketCounter {
    pub(crate) fn add(&self, count: usize) {
        // No count here is near 2^64.
        self.0.fetch_add(count as u64, Relaxed);
    }
}

impl PacketCounters {
    pub(crate) fn counts(&self) -> PacketCounts {
        let read = |counter: &PacketCounter| counter.0.load(Relaxed);
        PacketCounts {
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
