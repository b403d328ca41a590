//! Health and metrics, for machines that look after the process.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::http::Http;
use crate::kit::http::code::Code;
use crate::kit::http::problem::{ApiError, ApiResult};
use crate::kit::readiness::Parts;

/// Routes that anybody may call.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Http: FromRef<S>,
{
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

/// The process takes traffic: it is not draining, and database and cache take writes.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, description = "It is ready", body = Health)),
    extensions(("x-codes" = json!(["server.not_ready"])))
)]
async fn readyz(State(http): State<Http>) -> ApiResult<Json<Health>> {
    if http.shared.tasks.is_draining() {
        return Err(not_ready().detail("process", "draining"));
    }
    if !http.is_playable() {
        return Err(not_ready().detail("instance", "not registered"));
    }
    let Parts { database, cache } = Box::pin(http.shared.readiness.check()).await;
    let faults = [("database", database), ("cache", cache)];
    let mut faults = faults
        .into_iter()
        .filter_map(|(part, fault)| Some((part, fault?)))
        .peekable();
    if faults.peek().is_none() {
        return Ok(WELL);
    }
    Err(faults.fold(not_ready(), |error, (part, fault)| {
        error.detail(part, fault.as_str())
    }))
}

fn not_ready() -> ApiError {
    ApiError::new(Code::SERVER_NOT_READY)
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
async fn metrics(State(http): State<Http>) -> Response {
    match http.metrics() {
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
