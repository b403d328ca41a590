//! The OpenAPI 3.1 document, made from the handlers.
//!
//! A handler names the error codes of its own in the extension `x-codes`; here they become
//! answers, together with those that a whole class of routes has in common.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::http::HttpState;
use crate::kit::http::code::Code;
use crate::kit::http::problem::PROBLEM_JSON;

/// Codes of every call that needs a login.
const LOGIN_CODES: [Code; 4] = [
    Code::AuthRequired,
    Code::AuthInvalidToken,
    Code::AuthTokenExpired,
    Code::RateLimited,
];
/// Codes of every call with a body.
const BODY_CODES: [Code; 5] = [
    Code::RequestMalformed,
    Code::RequestInvalid,
    Code::RequestTooLarge,
    Code::RequestUnsupportedMediaType,
    Code::RequestTimeout,
];
/// Codes of every call under the base path.
const COMMON_CODES: [Code; 3] = [
    Code::ServerInternal,
    Code::ServerUnavailable,
    Code::ServerTimeout,
];

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
pub(crate) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(openapi_document))
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "meta",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
async fn openapi_document(State(state): State<HttpState>) -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    match state.path_prefix() {
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
    let (_, collected) =
        crate::kit::http::documented_routes(|routes| routes, |routes| routes).split_for_parts();
    let mut info = Info::openapi();
    info.merge(collected);
    let mut document = serde_json::to_value(info).expect("a document is plain data");
    document["components"]["securitySchemes"] = json!({
        "access_token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }
    });
    document["components"]["schemas"]["GuestLogin"]["oneOf"] = device_and_secret();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            add_errors(path, operation);
        }
    }
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

fn add_errors(path: &str, operation: &mut Value) {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes_of(path, operation) {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    for (status, codes) in by_status {
        operation["responses"][status.to_string()] = error_answer(&codes);
    }
    if let Some(operation) = operation.as_object_mut() {
        operation.remove("x-codes");
    }
}

fn codes_of(path: &str, operation: &Value) -> Vec<Code> {
    let own = operation["x-codes"].as_array().into_iter().flatten();
    let own = own.filter_map(Value::as_str).filter_map(Code::parse);
    let mut codes: Vec<Code> = own.collect();
    if !operation["security"].is_null() {
        codes.extend(LOGIN_CODES);
    }
    if !operation["requestBody"].is_null() {
        codes.extend(BODY_CODES);
    }
    if path.starts_with(crate::kit::http::BASE_PATH) {
        codes.extend(COMMON_CODES);
    }
    codes
}

fn error_answer(codes: &[Code]) -> Value {
    let line = |code: &Code| format!("`{}`: {}", code.as_str(), code.title());
    let lines: Vec<String> = codes.iter().map(line).collect();
    let content = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    json!({ "description": lines.join("\n\n"), "content": { PROBLEM_JSON: content } })
}
