//! What every request has in common: ids, bodies, refusals, origins, health.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::config::{Limits, WebApiConfig};
use crate::tests::instance::Mood;
use crate::tests::world::{World, config};

#[tokio::test]
async fn a_request_id_is_echoed_in_header_and_problem() {
    let world = World::new().await;
    let call = world
        .call(Method::GET, "me")
        .header("x-request-id", "my-id-1");
    let answer = call.send().await;
    assert_eq!(answer.header("x-request-id"), "my-id-1");
    assert_eq!(
        answer.refused(401, "auth.required")["request_id"],
        "my-id-1"
    );
}

#[tokio::test]
async fn an_unusable_request_id_is_replaced() {
    let world = World::new().await;
    for given in ["has space", "", &"x".repeat(65)] {
        let answer = world
            .call(Method::GET, "/livez")
            .header("x-request-id", given)
            .send()
            .await;
        assert_eq!(answer.header("x-request-id").len(), 32, "{given:?}");
    }
}

#[tokio::test]
async fn nothing_stands_at_an_unknown_address() {
    let world = World::new().await;
    for path in ["/nothing", "/api/v1/nothing", "/api/v2/me", "/admin"] {
        let answer = world.call(Method::GET, path).send().await;
        answer.refused(404, "route.not_found");
    }
}

#[tokio::test]
async fn an_unknown_method_is_refused_with_those_that_are_known() {
    let world = World::new().await;
    let answer = world.call(Method::DELETE, "auth/guest").send().await;
    answer.refused(405, "route.method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_its_place() {
    let world = World::new().await;
    for body in ["", "{", "{\"device_id\":}", "{\"device_id\"", "{} {}"] {
        let answer = world
            .call(Method::POST, "auth/guest")
            .text(body)
            .send()
            .await;
        let problem = answer.refused(400, "request.malformed");
        assert!(problem["details"]["column"].is_string(), "{body:?}");
    }
}

#[tokio::test]
async fn an_unknown_field_or_a_wrong_type_is_refused_with_its_pointer() {
    let world = World::new().await;
    let host = world.guest().await;
    for (body, pointer) in [
        (json!({"game": "arena", "colour": "red"}), "/colour"),
        (
            json!({"game": "arena", "players_max": "many"}),
            "/players_max",
        ),
        (json!({"game": "arena", "tags": ["a", 5]}), "/tags/1"),
        (json!({}), ""),
        (json!([]), ""),
    ] {
        let problem = world
            .post("sessions", &host, body.clone())
            .await
            .refused(422, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(
            !detail.contains("struct") && !detail.contains("CreateSession"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn an_array_is_not_read_as_the_fields_in_their_order() {
    let world = World::new().await;
    let answer = world
        .call(Method::POST, "auth/guest")
        .text(" []")
        .send()
        .await;
    answer.refused(422, "request.invalid");
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let world = World::new().await;
    let plain = world.call(Method::POST, "auth/guest").bytes(b"{}");
    plain
        .send()
        .await
        .refused(415, "request.unsupported_media_type");
    let form = world.call(Method::POST, "auth/guest").bytes(b"{}");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    form.send()
        .await
        .refused(415, "request.unsupported_media_type");
    let charset = world.call(Method::POST, "auth/guest").bytes(b"{}");
    let charset = charset.header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(charset.send().await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let world = World::new().await;
    let body = format!("{{\"device_secret\":\"{}\"}}", "x".repeat(64 * 1024));
    let answer = world
        .call(Method::POST, "auth/guest")
        .text(&body)
        .send()
        .await;
    answer.refused(413, "request.too_large");
}

#[tokio::test]
async fn an_unusable_idempotency_key_is_refused() {
    let world = World::new().await;
    let host = world.guest().await;
    let call = world.call(Method::POST, "sessions").of(&host);
    let call = call.header("idempotency-key", &"x".repeat(65));
    let answer = call.json(&json!({"game": "arena"})).send().await;
    let problem = answer.refused(422, "request.invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/Idempotency-Key");
}

#[tokio::test]
async fn a_database_that_is_gone_is_answered_without_its_cause() {
    let world = World::new().await;
    let guest = world.guest().await;
    while world
        .services
        .kit
        .db
        .migrate_down()
        .await
        .unwrap()
        .is_some()
    {}
    let answer = world.get("me", &guest).await;
    answer.refused(503, "server.unavailable");
    let text = String::from_utf8_lossy(&answer.bytes).to_lowercase();
    assert!(!text.contains("table") && !text.contains("sql"), "{text}");
}

#[tokio::test]
async fn the_allowed_origin_may_read_answers_and_others_may_not() {
    let world = World::new().await;
    let ask = async |origin: &str| {
        let call = world.call(Method::OPTIONS, "me").header("origin", origin);
        call.header("access-control-request-method", "PATCH")
            .send()
            .await
    };
    let allowed = ask("https://play.example.com").await;
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://play.example.com"
    );
    assert!(
        allowed
            .header("access-control-allow-methods")
            .contains("PATCH")
    );
    let refused = ask("https://evil.example.com").await;
    assert_eq!(refused.header("access-control-allow-origin"), "");
    let call = world
        .call(Method::GET, "me")
        .header("origin", "https://play.example.com");
    let error = call.send().await;
    error.refused(401, "auth.required");
    assert_eq!(
        error.header("access-control-allow-origin"),
        "https://play.example.com"
    );
    assert!(
        error
            .header("access-control-expose-headers")
            .contains("x-request-id")
    );
}

#[tokio::test]
async fn a_draining_service_is_alive_but_not_ready() {
    let world = World::new().await;
    let status = async |path: &str| world.call(Method::GET, path).send().await.status;
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(status(path).await, 200, "{path}");
    }
    world.services.kit.tasks.drain();
    world
        .call(Method::GET, "/readyz")
        .send()
        .await
        .refused(503, "server.not_ready");
    assert_eq!(status("/livez").await, 200);
}

#[tokio::test]
async fn without_a_recorder_there_are_no_metrics() {
    let world = World::new().await;
    world
        .call(Method::GET, "/metrics")
        .send()
        .await
        .refused(404, "route.not_found");
}

#[tokio::test]
async fn answers_are_not_cached_unless_they_say_so() {
    let world = World::new().await;
    let answer = world.call(Method::GET, "/livez").send().await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let keys = world
        .call(Method::GET, "/.well-known/jwks.json")
        .send()
        .await;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
}

#[tokio::test]
async fn the_page_that_tries_the_api_needs_nothing_from_elsewhere() {
    let world = World::new().await;
    let page = world.call(Method::GET, "/docs/").send().await;
    assert_eq!(page.status, 200);
    let html = String::from_utf8(page.bytes).unwrap();
    assert!(!html.contains("https://"), "{html}");
    let script = world
        .call(Method::GET, "/docs/swagger-initializer.js")
        .send()
        .await;
    assert!(
        String::from_utf8(script.bytes)
            .unwrap()
            .contains("/api/v1/openapi.json")
    );
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up_but_its_writes_are_finished() {
    let limits = Limits {
        request_deadline: Duration::from_secs(1),
        ..Limits::default()
    };
    let world = World::without_instance(WebApiConfig { limits, ..config() }).await;
    world.register().await;
    let host = world.guest().await;
    world.instance.set_mood(Mood::Slow);
    let body = json!({"game": "arena"});
    let answer = world.post("sessions", &host, body).await;
    answer.refused(503, "server.timeout");
    world.instance.allowed.notify_one();
    assert!(
        world
            .services
            .kit
            .tasks
            .finish(Duration::from_secs(5))
            .await
    );
    let listed = world.get("sessions?state=filling", &host).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_like_any_failure() {
    let world = World::new().await;
    let problem: Value = world.panicking_call().await.refused(500, "server.internal");
    assert!(!problem.to_string().contains("planted"), "{problem}");
}
