//! The OpenAPI 3.1 document, made from the handlers.
//!
//! A handler names the error codes of its own in the extension `x-codes`; here they become
//! answers, together with those that a whole class of routes has in common.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use crate::kit::http::BASE_PATH;
use crate::kit::http::code::Code;
use crate::kit::http::problem::PROBLEM_JSON;

/// Codes of every call that needs a login.
const LOGIN_CODES: [Code; 4] = [
    Code::AUTH_REQUIRED,
    Code::AUTH_INVALID_TOKEN,
    Code::AUTH_TOKEN_EXPIRED,
    Code::RATE_LIMITED,
];
/// Codes of every call with a body.
const BODY_CODES: [Code; 5] = [
    Code::REQUEST_MALFORMED,
    Code::REQUEST_INVALID,
    Code::REQUEST_TOO_LARGE,
    Code::REQUEST_UNSUPPORTED_MEDIA_TYPE,
    Code::REQUEST_TIMEOUT,
];
/// Codes of every call under the base path.
const COMMON_CODES: [Code; 3] = [
    Code::SERVER_INTERNAL,
    Code::SERVER_UNAVAILABLE,
    Code::SERVER_TIMEOUT,
];

/// The document of these routes, with the errors that their handlers name by codes of the registry.
pub(crate) fn document(info: OpenApi, collected: OpenApi, registry: &[&[Code]]) -> Value {
    let mut info = info;
    info.merge(collected);
    let mut document = serde_json::to_value(info).expect("a document is plain data");
    document["components"]["securitySchemes"] = json!({
        "access_token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }
    });
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            add_errors(path, operation, registry);
        }
    }
    document
}

fn add_errors(path: &str, operation: &mut Value, registry: &[&[Code]]) {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes_of(path, operation, registry) {
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

fn codes_of(path: &str, operation: &Value, registry: &[&[Code]]) -> Vec<Code> {
    let own = operation["x-codes"].as_array().into_iter().flatten();
    let own = own
        .filter_map(Value::as_str)
        .filter_map(|name| find(registry, name));
    let mut codes: Vec<Code> = own.collect();
    if !operation["security"].is_null() {
        codes.extend(LOGIN_CODES);
    }
    if !operation["requestBody"].is_null() {
        codes.extend(BODY_CODES);
    }
    if path.starts_with(BASE_PATH) {
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

fn find(registry: &[&[Code]], name: &str) -> Option<Code> {
    let mut codes = registry.iter().copied().flatten().copied();
    codes.find(|code| code.as_str() == name)
}
