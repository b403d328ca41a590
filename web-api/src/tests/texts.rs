//! Texts that PostgreSQL cannot keep are refused before they reach it.

use axum::http::Method;
use gameserver_contract::session::Session;
use serde_json::json;

use crate::tests::world::World;

#[tokio::test]
async fn a_nul_in_a_query_is_refused_with_its_field() {
    let world = World::new().await;
    let guest = world.guest().await;
    for name in ["game", "mode", "region", "tag", "cursor", "state"] {
        let answer = world.get(&format!("sessions?{name}=a%00b"), &guest).await;
        let problem = answer.refused(422, "request.invalid");
        assert!(
            problem["errors"][0].to_string().contains(name) || name == "game",
            "{problem}"
        );
    }
    let path = format!("players/{}/matches?cursor=%00", guest.player.id);
    world
        .get(&path, &guest)
        .await
        .refused(422, "request.invalid");
}

#[tokio::test]
async fn a_nul_in_a_body_is_refused_with_its_field() {
    let world = World::new().await;
    let guest = world.guest().await;
    let session: Session = world.session(&guest).await;
    let tag = world.get("me", &guest).await.header("etag").to_owned();
    let join = format!("sessions/{}/join", session.id);
    let text = "a\u{0}b";
    let device = guest.device.as_ref().unwrap().id;
    let opening = [
        ("/game", json!({ "game": text })),
        ("/mode", json!({ "game": "arena", "mode": text })),
        ("/name", json!({ "game": "arena", "name": text })),
        ("/region", json!({ "game": "arena", "region": text })),
        ("/tags/0", json!({ "game": "arena", "tags": [text] })),
    ];
    let opening = opening.map(|(pointer, body)| (Method::POST, "sessions", pointer, body));
    let others = [
        (
            Method::POST,
            join.as_str(),
            "/join_code",
            json!({ "join_code": text }),
        ),
        (
            Method::PATCH,
            "me",
            "/display_name",
            json!({ "display_name": text }),
        ),
        (
            Method::POST,
            "auth/refresh",
            "/refresh_token",
            json!({ "refresh_token": text }),
        ),
        (
            Method::POST,
            "auth/logout",
            "/refresh_token",
            json!({ "refresh_token": text }),
        ),
        (
            Method::POST,
            "auth/guest",
            "/device_secret",
            json!({ "device_id": device, "device_secret": text }),
        ),
    ];
    for (method, path, pointer, body) in opening.into_iter().chain(others) {
        let call = world.call(method, path).of(&guest).header("if-match", &tag);
        let problem = call
            .json(&body)
            .send()
            .await
            .refused(422, "request.invalid");
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{path}: {problem}"
        );
    }
}

#[tokio::test]
async fn a_nul_in_a_path_or_a_key_reaches_nothing() {
    let world = World::new().await;
    let guest = world.guest().await;
    let answer = world.get("sessions/a%00b", &guest).await;
    answer.refused(404, "session.not_found");
    let answer = world.get("players/a%00b", &guest).await;
    answer.refused(404, "player.not_found");
    let call = world.call(Method::POST, "sessions").of(&guest);
    let call = call
        .header("idempotency-key", "a b")
        .json(&json!({"game": "arena"}));
    call.send().await.refused(422, "request.invalid");
}
