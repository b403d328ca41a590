//! Health and metrics, for machines that look after the process.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::code::Code;
use super::error::{ApiError, ApiResult};
use crate::app::SharedApp;

/// How long a part may take to say that it is there.
const PING_DEADLINE: Duration = Duration::from_secs(1);

/// Routes that anybody may call.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(startupz))
        .routes(routes!(metrics))
}

/// That everything is well.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Health {
    /// Always `ok`; anything else is an error answer.
    status: &'static str,
}

const WELL: Json<Health> = Json(Health { status: "ok" });

/// The process answers.
#[utoipa::path(
    get, path = "/livez", tag = "health",
    responses((status = 200, description = "It lives", body = Health))
)]
async fn livez() -> Json<Health> {
    WELL
}

/// The process takes traffic: it is not draining, and database and cache answer.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, description = "It is ready", body = Health)),
    extensions(("x-codes" = json!(["server.not_ready"])))
)]
async fn readyz(State(app): State<SharedApp>) -> ApiResult<Json<Health>> {
    if app.is_draining() {
        return Err(not_ready("process", "draining"));
    }
    // In a task of their own: a ping that is dropped half-way would leave a connection in doubt.
    let (store, cache) = (app.store.clone(), app.cache.clone());
    let database = app
        .run_to_end(async move { answers(store.ping()).await })
        .await;
    let cache = app
        .run_to_end(async move { answers(cache.ping()).await })
        .await;
    match (database, cache) {
        (false, _) => Err(not_ready("database", "unreachable")),
        (_, false) => Err(not_ready("cache", "unreachable")),
        (true, true) => Ok(WELL),
    }
}

async fn answers<E>(ping: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(PING_DEADLINE, ping).await, Ok(Ok(())))
}

fn not_ready(part: &str, state: &str) -> ApiError {
    ApiError::new(Code::ServerNotReady).detail(part, state)
}

/// The process has started: whoever can reach this address sees it done.
#[utoipa::path(
    get, path = "/startupz", tag = "health",
    responses((status = 200, description = "It has started", body = Health))
)]
async fn startupz() -> Json<Health> {
    WELL
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "All metrics", content_type = "text/plain")),
    extensions(("x-codes" = json!(["route.not_found"])))
)]
async fn metrics(State(state): State<HttpState>) -> Response {
    match state.metrics() {
        Some(text) => (
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
