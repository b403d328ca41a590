//! Metrics and health on a port of their own, for Prometheus and for containers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use gameserver_server::telemetry;
use gameserver_web_api::{Limits, server};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::error::CliError;
use crate::output::{STDERR, STDOUT};
use crate::ports::Ports;

const LINES_DROPPED: &str = "gs_output_lines_dropped_total";
/// How often histograms are drained into their buckets between scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Limits of the port: its clients are the few systems that monitor the process.
const LIMITS: Limits = Limits {
    connections_max: 256,
    connections_per_address_max: Some(64),
    http2_streams_max: 4,
    unsent_bytes_max: 16 * 1024 * 1024,
    ..Limits::DEFAULT
};

/// Reports whether the process can do its work now.
pub(crate) type IsReady = Arc<dyn Fn() -> bool + Send + Sync>;

/// Begins to record. Call it once.
pub(crate) fn record() -> Result<PrometheusHandle, CliError> {
    let tick = Matcher::Full("gs_tick_seconds".to_owned());
    let tick_part = Matcher::Full("gs_tick_part_seconds".to_owned());
    let http = Matcher::Full("gs_http_request_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(tick, &telemetry::tick_buckets_s())
        .and_then(|builder| {
            builder.set_buckets_for_metric(tick_part, &telemetry::tick_part_buckets_s())
        })
        .and_then(|builder| {
            builder
                .set_buckets_for_metric(http, &gameserver_web_api::telemetry::HTTP_REQUEST_BUCKETS)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| CliError::Metrics(Box::new(error)))?;
    describe_gauge!("gs_tasks", "tasks of the process that are alive");
    describe_counter!(
        LINES_DROPPED,
        "lines of logs and other output that nobody read in time"
    );
    Ok(handle)
}

/// Serves until the token is cancelled. Returns the address that was taken.
pub(crate) async fn serve(
    (address, ports): (SocketAddr, &Ports),
    handle: PrometheusHandle,
    is_ready: IsReady,
    stop: CancellationToken,
) -> Result<SocketAddr, CliError> {
    let refused = |error: std::io::Error| ports.not_opened(address, &error);
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let taken = listener.local_addr().map_err(refused)?;
    let router = Router::new()
        .route("/metrics", get(answer))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readiness))
        .with_state((handle.clone(), is_ready));
    tokio::spawn(server::serve_http(listener, router, LIMITS, stop.clone()));
    tokio::spawn(keep_up(handle, stop));
    Ok(taken)
}

type Shared = (PrometheusHandle, IsReady);

async fn answer(State((handle, _)): State<Shared>) -> String {
    render(&handle)
}

/// All metrics, those of the process among them. Call it within the runtime.
pub(crate) fn render(handle: &PrometheusHandle) -> String {
    metrics_process::Collector::default().collect();
    let tasks = Handle::current().metrics().num_alive_tasks();
    gauge!("gs_tasks").set(tasks as f64);
    for stream in [&STDOUT, &STDERR] {
        counter!(LINES_DROPPED, "stream" => stream.name()).absolute(stream.dropped());
    }
    handle.render()
}

async fn readiness(State((_, is_ready)): State<Shared>) -> (StatusCode, &'static str) {
    if is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    }
}

async fn keep_up(handle: PrometheusHandle, stop: CancellationToken) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => handle.run_upkeep(),
        }
    }
}
