//! Names and meanings of the metrics. Labels have a bounded set of values and never a player.
//!
//! It installs no recorder: the process may share one among its services.

use std::time::Duration;

/// Time from a request's header to its answer, in seconds, by `route` and `status`.
pub const HTTP_REQUEST_SECONDS: &str = "gs_http_request_seconds";
/// Open HTTP connections, on all ports.
pub(crate) const HTTP_CONNECTIONS: &str = "gs_http_connections";
/// Bytes of answers that are in memory and that clients have not taken.
pub(crate) const HTTP_UNSENT_BYTES: &str = "gs_http_unsent_bytes";
/// HTTP connections that were closed on their clients, by `reason`.
const HTTP_CONNECTIONS_CLOSED: &str = "gs_http_connections_closed_total";
/// Bounds of the buckets of [`HTTP_REQUEST_SECONDS`], for whoever installs the recorder.
pub const HTTP_REQUEST_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0,
];

/// Tells the installed recorder what the metrics of this service mean.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_histogram!(
        HTTP_REQUEST_SECONDS,
        Unit::Seconds,
        "Time to answer an HTTP request"
    );
    describe_gauge!(HTTP_CONNECTIONS, "Open HTTP connections");
    describe_gauge!(
        HTTP_UNSENT_BYTES,
        Unit::Bytes,
        "Answers in memory that clients have not taken"
    );
    describe_counter!(
        HTTP_CONNECTIONS_CLOSED,
        "HTTP connections closed on their clients, by reason"
    );
    describe_counter!("gs_results_total", "Match results handed in, by outcome");
    describe_counter!(
        "gs_sessions_created_total",
        "Sessions asked for, by outcome"
    );
    describe_counter!(
        "gs_sessions_lost_total",
        "Sessions that failed with their instance"
    );
    describe_counter!("gs_joins_total", "Joins asked for, by outcome");
    describe_counter!(
        "gs_shed_total",
        "People refused because an instance has no time for them, by class"
    );
    describe_counter!("gs_logins_total", "Logins, by kind");
    describe_counter!(
        "gs_refresh_reused_total",
        "Refresh tokens used again after their time"
    );
}

/// Records one request.
pub(crate) fn record_request(route: &str, status: u16, elapsed: Duration) {
    metrics::histogram!(
        HTTP_REQUEST_SECONDS,
        "route" => route.to_owned(),
        "status" => status.to_string()
    )
    .record(elapsed.as_secs_f64());
}

/// Counts a connection that was closed before its client wanted it to be.
pub(crate) fn count_closed_connection(reason: &'static str) {
    metrics::counter!(HTTP_CONNECTIONS_CLOSED, "reason" => reason).increment(1);
}
