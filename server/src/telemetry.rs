//! The instance's numbers: the one place that names its metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bevy_ecs::error::{BevyError, ErrorContext};
use gameserver_contract::ids::GameId;
use gameserver_contract::session::Role;
use gameserver_transport::close::{CloseReason, Side};
use gameserver_transport::connection::Connection;
use metrics::{
    Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Upper bounds in seconds of the buckets of `gs_tick_seconds`: steps of a tenth from 0.1 ms to a
/// tick of 30 Hz, so that a percentile is known to a tenth; the budget of 60 Hz itself; and a few
/// for ticks that are much too long.
#[must_use]
pub fn tick_buckets_s() -> Vec<f64> {
    let next = |us: &u32| Some(us + us / 10);
    let steps = std::iter::successors(Some(100), next).take_while(|us| *us < 36_000);
    let mut bounds_us: Vec<u32> = steps.chain([16_600, 50_000, 100_000]).collect();
    bounds_us.sort_unstable();
    bounds_us
        .into_iter()
        .map(|us| f64::from(us) / 1e6)
        .collect()
}

/// Upper bounds in seconds of the buckets of `gs_tick_part_seconds`: from 1 µs to 33 ms, two for
/// each doubling. Coarser than the whole tick's, because there are many parts.
#[must_use]
pub fn tick_part_buckets_s() -> Vec<f64> {
    let doubled = std::iter::successors(Some(10_u32), |tenths| Some(tenths * 2));
    let tenths_us = doubled.flat_map(|tenths| [tenths, tenths * 7 / 5]).take(31);
    tenths_us.map(|tenths| f64::from(tenths) / 1e7).collect()
}

/// Describes the metrics to the recorder, and makes counters appear before they first count.
pub fn describe() {
    describe_histogram!("gs_tick_seconds", "time that one tick of one match takes");
    describe_histogram!(
        "gs_tick_part_seconds",
        "time that a part of a tick of one match takes"
    );
    describe_counter!(
        "gs_tick_overruns_total",
        "ticks left out because a match fell behind"
    );
    describe_gauge!("gs_matches", "matches by state");
    describe_gauge!("gs_connections", "welcomed connections");
    describe_counter!(
        "gs_connections_ended_total",
        "welcomed connections that ended, by reason and by who ended them"
    );
    describe_gauge!(
        "gs_net_unsent_bytes",
        "payload bytes that wait to be sent on all connections"
    );
    describe_gauge!("gs_entities", "entities of all matches");
    describe_gauge!(
        "gs_certificate_expires_at_seconds",
        "end of the game port's certificate, in seconds since 1970"
    );
    describe_counter!("gs_net_bytes_total", "payload bytes by direction");
    describe_counter!("gs_net_dropped_total", "packets dropped by reason");
    describe_counter!("gs_inputs_rejected_total", "input messages refused by rule");
    describe_counter!(
        "gs_inputs_late_total",
        "ticks simulated without the player's input"
    );
    describe_counter!("gs_ticket_rejected_total", "arrivals refused by reason");
    describe_counter!(
        "gs_shed_total",
        "people refused because there is no time for them, by class"
    );
    describe_gauge!("gs_load", "share in use of what matches need, by resource");
    describe_gauge!(
        "gs_headroom",
        "load that the fullest match can take before players are refused"
    );
    describe_counter!(
        "gs_arrivals_ended_total",
        "connections that ended before they were admitted, by reason"
    );
    describe_counter!(
        "gs_system_errors_total",
        "errors returned by systems and observers"
    );
    describe_counter!("gs_match_panics_total", "matches ended by a panic");
    describe_gauge!("gs_queue_depth", "entries waiting in a bounded queue");
    describe_counter!("gs_queue_dropped_total", "entries refused by a full queue");
    describe_counter!("gs_match_log_bytes_total", "bytes written to match logs");
    describe_counter!("gs_match_logs_total", "match logs that ended, by outcome");
    describe_counter!(
        "gs_match_logs_deleted_total",
        "match logs deleted to make room for newer ones"
    );
    counter!("gs_tick_overruns_total").absolute(0);
    counter!("gs_system_errors_total").absolute(0);
    counter!("gs_match_panics_total").absolute(0);
    gauge!("gs_entities").set(0.0);
}

/// Counts and logs what a system returned, instead of Bevy's default of panicking. A system that
/// fails every tick would fill a disk, so the 1st, 2nd, 4th, 8th … error of the process is logged.
pub fn count_system_error(error: BevyError, context: ErrorContext) {
    static ERRORS: AtomicU64 = AtomicU64::new(0);
    counter!("gs_system_errors_total").increment(1);
    let errors = ERRORS.fetch_add(1, Ordering::Relaxed) + 1;
    if errors.is_power_of_two() {
        let (system, kind) = (context.name(), context.kind());
        tracing::warn!(%system, kind, %error, errors, "system failed");
    }
}

/// Where a match records its ticks; asked for once, because labels cost a look-up.
pub(crate) struct TickTimes {
    whole: Histogram,
    parts: Vec<Histogram>,
}

impl TickTimes {
    /// For a game whose ticks have these parts.
    pub(crate) fn of(game: &GameId, parts: impl Iterator<Item = &'static str>) -> Self {
        Self {
            whole: histogram!("gs_tick_seconds", "game" => game.to_string()),
            parts: parts
                .map(|part| histogram!("gs_tick_part_seconds", "part" => part))
                .collect(),
        }
    }

    pub(crate) fn record(&self, whole: Duration, parts: &[Duration]) {
        self.whole.record(whole);
        for (histogram, spent) in self.parts.iter().zip(parts) {
            histogram.record(*spent);
        }
    }
}

pub(crate) fn ticks_left_out(count: u64) {
    counter!("gs_tick_overruns_total").increment(count);
}

pub(crate) fn matches_in(state: &'static str, count: usize) {
    gauge!("gs_matches", "state" => state).set(count as f64);
}

pub(crate) fn entities(count: u64) {
    gauge!("gs_entities").set(count as f64);
}

pub(crate) fn connection_opened(connection: &Connection, role: Role) {
    connections(connection, role).increment(1.0);
}

pub(crate) fn connection_closed(connection: &Connection, role: Role, reason: &CloseReason) {
    connections(connection, role).decrement(1.0);
    let by = match reason.by {
        Side::Us => "server",
        Side::Peer => "client",
        Side::Network => "network",
    };
    counter!(
        "gs_connections_ended_total",
        "by" => by, "reason" => reason.code.as_str()
    )
    .increment(1);
}

pub(crate) fn unsent(bytes: usize) {
    gauge!("gs_net_unsent_bytes").set(bytes as f64);
}

fn connections(connection: &Connection, role: Role) -> metrics::Gauge {
    let (protocol, transport) = (connection.mode().as_str(), connection.kind().as_str());
    gauge!(
        "gs_connections",
        "protocol" => protocol, "role" => role.as_str(), "transport" => transport
    )
}

pub(crate) fn bytes_moved(received: u64, sent: u64) {
    counter!("gs_net_bytes_total", "direction" => "in").increment(received);
    counter!("gs_net_bytes_total", "direction" => "out").increment(sent);
}

pub(crate) fn packet_dropped(reason: &'static str) {
    packets_dropped(reason, 1);
}

pub(crate) fn packets_dropped(reason: &'static str, count: u64) {
    counter!("gs_net_dropped_total", "reason" => reason).increment(count);
}

pub(crate) fn input_rejected(rule: &'static str) {
    counter!("gs_inputs_rejected_total", "rule" => rule).increment(1);
}

pub(crate) fn input_late() {
    counter!("gs_inputs_late_total").increment(1);
}

pub(crate) fn arrival_refused(reason: &'static str) {
    counter!("gs_ticket_rejected_total", "reason" => reason).increment(1);
}

pub(crate) fn shed(role: Role) {
    counter!("gs_shed_total", "class" => role.as_str()).increment(1);
}

pub(crate) fn loads(shares: [(&'static str, f32); 4]) {
    for (resource, share) in shares {
        gauge!("gs_load", "resource" => resource).set(f64::from(share));
    }
}

pub(crate) fn headroom(share: f32) {
    // Without a limit there is no such number.
    if share.is_finite() {
        gauge!("gs_headroom").set(f64::from(share));
    }
}

pub(crate) fn arrivals_ended(reason: &'static str, count: u64) {
    counter!("gs_arrivals_ended_total", "reason" => reason).increment(count);
}

pub(crate) fn match_panicked() {
    counter!("gs_match_panics_total").increment(1);
}

pub(crate) fn queue_refused(queue: &'static str) {
    counter!("gs_queue_dropped_total", "queue" => queue).increment(1);
}

pub(crate) fn queue_holds(queue: &'static str, depth: usize) {
    gauge!("gs_queue_depth", "queue" => queue).set(depth as f64);
}

pub(crate) fn match_log_bytes(count: usize) {
    counter!("gs_match_log_bytes_total").increment(count as u64);
}

pub(crate) fn match_log_ended(outcome: &'static str) {
    counter!("gs_match_logs_total", "outcome" => outcome).increment(1);
}

pub(crate) fn match_log_deleted() {
    counter!("gs_match_logs_deleted_total").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buckets_of_a_tick_tell_times_apart_to_a_tenth() {
        let bounds = tick_buckets_s();
        let from = bounds.iter().position(|bound| *bound >= 0.000_1).unwrap();
        let to = bounds.iter().position(|bound| *bound >= 0.033).unwrap();
        for pair in bounds[from..=to].windows(2) {
            assert!(pair[0] < pair[1] && pair[1] <= pair[0] * 1.101, "{pair:?}");
        }
        assert!(bounds.contains(&0.016_6));
        assert!(bounds.is_sorted() && bounds.last() == Some(&0.1));
    }

    #[test]
    fn the_buckets_of_the_parts_reach_from_a_microsecond_to_a_long_tick() {
        let bounds = tick_part_buckets_s();
        assert_eq!(bounds.first_chunk(), Some(&[1e-6, 1.4e-6, 2e-6, 2.8e-6]));
        assert_eq!((bounds.len(), bounds.last()), (31, Some(&0.032_768)));
        assert!(bounds.is_sorted());
    }
}
