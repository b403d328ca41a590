//! The OpenAPI document: what it says is what the service does.

use axum::http::Method;
use serde_json::Value;

use crate::kit::http::code::Code;
use crate::tests::world::World;
use crate::{codes, openapi_json};

/// The document that is checked in. `UPDATE_OPENAPI=1 cargo test -p gameserver-web-api openapi`
/// writes it anew.
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

/// Everything that may be called without a token.
const PUBLIC: [&str; 10] = [
    "GET /.well-known/jwks.json",
    "GET /api/v1/games",
    "GET /api/v1/openapi.json",
    "GET /livez",
    "GET /metrics",
    "GET /readyz",
    "GET /startupz",
    "POST /api/v1/auth/guest",
    "POST /api/v1/auth/logout",
    "POST /api/v1/auth/refresh",
];

fn document() -> Value {
    serde_json::from_str(openapi_json()).unwrap()
}

fn operations() -> Vec<(Method, String, Value)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            operations.push((method, path.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    if std::env::var("UPDATE_OPENAPI").is_ok_and(|value| value == "1") {
        std::fs::write(SNAPSHOT, format!("{}\n", openapi_json())).unwrap();
    }
    let snapshot = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let snapshot: Value = serde_json::from_str(&snapshot).unwrap_or_default();
    assert!(
        snapshot == document(),
        "web-api/openapi.json is old: run with UPDATE_OPENAPI=1"
    );
}

#[tokio::test]
async fn every_route_but_the_named_ones_needs_a_token() {
    let world = World::new().await;
    let mut public = Vec::new();
    for (method, path, operation) in operations() {
        let concrete = path.replace("{id}", "00000000-0000-0000-0000-000000000001");
        let answer = world.call(method.clone(), &concrete).send().await;
        if answer.status == 401 {
            answer.refused(401, "auth.required");
            assert!(
                !operation["security"].is_null(),
                "{method} {path} says it is public"
            );
        } else {
            assert!(
                operation["security"].is_null(),
                "{method} {path} says it needs a token"
            );
            public.push(format!("{method} {path}"));
        }
    }
    public.sort();
    assert_eq!(public, PUBLIC);
}

#[tokio::test]
async fn the_document_is_served() {
    let world = World::new().await;
    let answer = world.call(Method::GET, "openapi.json").send().await;
    assert_eq!(answer.json(), document());
    assert_eq!(answer.json()["openapi"], "3.1.0");
}

#[test]
fn every_route_documents_its_errors_and_every_code_is_documented_somewhere() {
    let mut text = String::new();
    for (method, path, operation) in operations() {
        assert!(
            operation["summary"].is_string(),
            "{method} {path} has no summary"
        );
        let responses = operation["responses"].to_string();
        if path.starts_with("/api/v1") {
            assert!(responses.contains("server.internal"), "{method} {path}");
        }
        text.push_str(&responses);
    }
    // These two are about addresses that are no routes.
    let elsewhere = [Code::ROUTE_NOT_FOUND, Code::ROUTE_METHOD_NOT_ALLOWED];
    let missing: Vec<_> = codes()
        .filter(|code| !elsewhere.contains(code) && !text.contains(code.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_working_note_of_ours_is_left_in_the_document() {
    assert!(!openapi_json().contains("x-codes"));
}

#[test]
fn every_code_has_a_name_of_its_own() {
    let mut names: Vec<_> = codes().map(Code::as_str).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
