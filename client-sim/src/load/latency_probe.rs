//! The seam between a bot and its statistics.

use std::time::Duration;

/// Receives what a bot experiences, for the statistics of its thread.
pub(super) trait LatencyProbe {
    /// The bot took in a snapshot.
    fn snapshot_received(&mut self);
    /// The state of a tick came so long after the bot had sent that tick's input.
    fn input_answered(&mut self, after: Duration);
    /// The bot sent an input.
    fn input_sent(&mut self);
}
