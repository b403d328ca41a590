//! Adds what welcomed connections have moved to the metrics: one sweep over all of them a second,
//! instead of a timer for each. It does not know players or matches.

use std::sync::{Mutex, PoisonError};

use gameserver_transport::connection::{Connection, LinkStats};

use crate::telemetry;

/// The connections, and how much of their traffic was counted.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    connections: Mutex<Vec<(Connection, LinkStats)>>,
}

impl Traffic {
    /// Counts the traffic of a connection from now until its end.
    pub(super) fn add(&self, connection: Connection) {
        let counted = connection.stats();
        let connections = self.connections.lock();
        connections
            .unwrap_or_else(PoisonError::into_inner)
            .push((connection, counted));
    }

    /// Shows what was moved since the last time, and forgets connections that have ended.
    pub(super) fn publish(&self) {
        let mut moved = LinkStats::default();
        let connections = self.connections.lock();
        connections
            .unwrap_or_else(PoisonError::into_inner)
            .retain_mut(|(connection, counted)| {
                // Asked before, so that what an end still adds is not lost.
                let has_ended = connection.closed().is_some();
                let now = connection.stats();
                moved.bytes_in += now.bytes_in - counted.bytes_in;
                moved.bytes_out += now.bytes_out - counted.bytes_out;
                moved.dropped_in += now.dropped_in - counted.dropped_in;
                moved.dropped_out += now.dropped_out - counted.dropped_out;
                moved.replaced_out += now.replaced_out - counted.replaced_out;
                *counted = now;
                !has_ended
            });
        telemetry::bytes_moved(moved.bytes_in, moved.bytes_out);
        telemetry::packets_dropped("incoming", moved.dropped_in);
        telemetry::packets_dropped("outgoing", moved.dropped_out);
        telemetry::packets_dropped("replaced", moved.replaced_out);
    }
}
