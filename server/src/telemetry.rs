//! The instance's numbers: the one place that names its metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use bevy_ecs::error::{BevyError, ErrorContext};
use gameserver_contract::ids::GameId;
use gameserver_contract::session::Role;
use gameserver_transport::connection::Connection;
use metrics::{
    Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Upper bounds in seconds of the buckets of `gs_tick_seconds`: fine around the 60 Hz budget of
/// 16.7 ms.
pub const TICK_BUCKETS_S: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.006, 0.008, 0.010, 0.012, 0.016_6, 0.025,
    0.05, 0.1,
];

/// Tells the recorder what the names mean, and makes counters appear before they first count.
pub fn describe() {
    describe_histogram!("gs_tick_seconds", "time that one tick of one match takes");
    describe_counter!(
        "gs_tick_overruns_total",
        "ticks left out because a match fell behind"
    );
    describe_gauge!("gs_matches", "matches by state");
    describe_gauge!("gs_connections", "welcomed connections");
    describe_gauge!("gs_entities", "entities of all matches");
    describe_counter!("gs_net_bytes_total", "payload bytes by direction");
    describe_counter!("gs_net_dropped_total", "packets dropped by reason");
    describe_counter!("gs_inputs_rejected_total", "input messages refused by rule");
    describe_counter!(
        "gs_inputs_late_total",
        "ticks simulated without the player's input"
    );
    describe_counter!("gs_ticket_rejected_total", "arrivals refused by reason");
    describe_counter!(
        "gs_arrivals_ended_total",
        "connections that ended before they were let in, by reason"
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

/// Where a match records its ticks; asked for once, because the label costs an allocation.
pub(crate) fn tick_seconds(game: &GameId) -> Histogram {
    histogram!("gs_tick_seconds", "game" => game.to_string())
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

pub(crate) fn connection_closed(connection: &Connection, role: Role) {
    connections(connection, role).decrement(1.0);
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
