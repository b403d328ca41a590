//! Private sessions: whoever does not belong to one cannot tell that it exists.

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::{JoinResponse, Session};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::tests::world::{Answer, World};

async fn private(world: &World, host: &LoginResponse) -> Session {
    let body = json!({"game": "arena", "visibility": "private"});
    world.post("sessions", host, body).await.expect(201)
}

/// Every call that names a session, and its answer.
async fn ask_all(world: &World, id: SessionId, who: &LoginResponse) -> Vec<(String, Answer)> {
    let calls = [
        (Method::GET, "", None),
        (Method::GET, "/events", None),
        (Method::GET, "/replay", None),
        (Method::POST, "/leave", None),
        (Method::POST, "/end", None),
        (Method::POST, "/join", Some(json!({}))),
        (Method::POST, "/join", Some(json!({"role": "spectator"}))),
        (Method::POST, "/join", Some(json!({"join_code": "AAAAAA"}))),
        (Method::POST, "/join", Some(json!({"join_code": ""}))),
    ];
    let mut answers = Vec::new();
    for (method, path, body) in calls {
        let name = format!("{method} {path} {body:?}");
        let call = world.call(method, &format!("sessions/{id}{path}")).of(who);
        let call = match &body {
            Some(body) => call.json(body),
            None => call,
        };
        answers.push((name, call.send().await));
    }
    answers
}

/// What a client can tell of an answer, but for the names of its request.
fn visible(answer: &Answer) -> (u16, Value, Vec<String>) {
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    (answer.status.as_u16(), body, headers)
}

#[tokio::test]
async fn a_private_session_of_others_is_answered_like_one_that_does_not_exist() {
    let world = World::new().await;
    let (host, ann, ben) = (
        world.guest().await,
        world.guest().await,
        world.guest().await,
    );
    let session = private(&world, &host).await;
    let foreign = ask_all(&world, session.id, &ann).await;
    let absent = ask_all(&world, SessionId(Uuid::from_u128(1)), &ben).await;
    for ((name, foreign), (_, absent)) in foreign.iter().zip(&absent) {
        foreign.refused(404, "session.not_found");
        assert_eq!(visible(foreign), visible(absent), "{name}");
    }
}

#[tokio::test]
async fn guessing_codes_of_no_session_is_limited_like_guessing_those_of_one() {
    let world = World::new().await;
    let guest = world.guest().await;
    let path = format!("sessions/{}/join", SessionId(Uuid::from_u128(1)));
    let code = || json!({"join_code": "AAAAAA"});
    for _ in 0..10 {
        let answer = world.post(&path, &guest, code()).await;
        answer.refused(404, "session.not_found");
    }
    let answer = world.post(&path, &guest, code()).await;
    answer.refused(429, "rate.limited");
}

#[tokio::test]
async fn whoever_had_the_code_finds_the_session_and_may_leave_it_twice() {
    let world = World::new().await;
    let (host, player, watcher) = (
        world.guest().await,
        world.guest().await,
        world.guest().await,
    );
    let session = private(&world, &host).await;
    let path = format!("sessions/{}", session.id);
    for (who, role) in [(&player, "player"), (&watcher, "spectator")] {
        world
            .get(&path, who)
            .await
            .refused(404, "session.not_found");
        let body = json!({"role": role, "join_code": session.join_code});
        let answer = world.try_join(&session, who, body).await;
        answer.expect::<JoinResponse>(200);
        assert_eq!(world.get(&path, who).await.json()["join_code"], Value::Null);
        let ending = world.call(Method::POST, &format!("{path}/end")).of(who);
        ending.send().await.refused(403, "session.not_host");
    }
    for _ in 0..2 {
        let leaving = world
            .call(Method::POST, &format!("{path}/leave"))
            .of(&player);
        assert_eq!(leaving.send().await.status, 204);
    }
    // They know that it is there, so they are told what is wrong.
    let answer = world
        .try_join(&session, &player, json!({"join_code": "AAAAAA"}))
        .await;
    answer.refused(403, "session.join_code_invalid");
}
