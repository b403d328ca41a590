//! The OpenAPI 3.1 document of all capabilities.

use std::sync::LazyLock;

use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::http::{Http, openapi};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "GameServer",
        description = "Players, lobbies and results. Errors are `application/problem+json` with a \
            `code` from a closed registry.",
        license(name = "MIT", identifier = "MIT"),
        contact(),
    ),
    tags(
        (name = "auth", description = "Logins and tokens"),
        (name = "players", description = "Profiles, totals, histories"),
        (name = "sessions", description = "The lobby"),
        (name = "health", description = "For machines that look after the process"),
        (name = "meta", description = "This document"),
    ),
    components(schemas(gameserver_contract::problem::Problem)),
)]
struct Info;

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string_pretty(&document()).expect("a document is plain data"));

/// The document as it is served.
#[must_use]
pub fn openapi_json() -> &'static str {
    &DOCUMENT
}

/// The document's own route.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Http: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(openapi_document))
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "meta",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
async fn openapi_document(State(http): State<Http>) -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    match http.path_prefix() {
        "" => (media_type, openapi_json()).into_response(),
        prefix => (media_type, document_below(prefix)).into_response(),
    }
}

/// The document of a service that clients reach below a path prefix.
fn document_below(prefix: &str) -> String {
    let mut document = document();
    document["servers"] = json!([{ "url": prefix }]);
    document.to_string()
}

fn document() -> Value {
    let routes = super::documented_routes(|routes| routes, |routes| routes);
    let (_, collected) = routes.split_for_parts();
    let mut document = openapi::document(Info::openapi(), collected, &super::CODES);
    document["components"]["schemas"]["GuestLogin"]["oneOf"] = device_and_secret();
    document
}

/// A device and its secret are given together or not at all, which no attribute of a field says.
fn device_and_secret() -> Value {
    let both =
        |kind: &str| json!({ "device_id": { "type": kind }, "device_secret": { "type": kind } });
    json!([
        { "properties": both("string"), "required": ["device_id", "device_secret"] },
        { "properties": both("null") },
    ])
}
