//! Opening, finding and reading sessions.

use axum::http::Method;
use gameserver_contract::session::{JoinAnswer, Page, Session, SessionState, Visibility};
use serde_json::{Value, json};

use super::instance::Mood;
use super::world::{World, config, report};
use crate::config::{RateLimits, WebApiConfig};
use crate::store::SessionFilter;

#[tokio::test]
async fn a_session_is_opened_on_an_instance_and_stands_at_its_location() {
    let world = World::new().await;
    let host = world.guest().await;
    let answer = world
        .post(
            "sessions",
            &host,
            json!({"game": "arena", "tags": ["casual"]}),
        )
        .await;
    let session: Session = answer.expect(201);
    assert_eq!(
        answer.header("location"),
        format!("/api/v1/sessions/{}", session.id)
    );
    assert_eq!(session.state, SessionState::Filling);
    assert_eq!(
        (session.mode.as_str(), session.name.as_str()),
        ("ffa", "Arena")
    );
    assert_eq!((session.region.as_str(), session.players_max), ("local", 4));
    assert_eq!(session.host_player_id, host.player.id);
    assert_eq!(session.join_code, None);
    let started = world.instance.started();
    assert_eq!(started.match_id, session.match_id.to_string());
    assert_eq!(started.result_key.len(), 32);
    let found = world.get(answer.header("location"), &host).await;
    assert_eq!(found.expect::<Session>(200), session);
}

#[tokio::test]
async fn wishes_that_no_game_fulfils_are_refused() {
    let world = World::new().await;
    let host = world.guest().await;
    for (body, status, code) in [
        (json!({"game": "chess"}), 422, "game.unknown"),
        (json!({"game": "Not A Game"}), 422, "game.unknown"),
        (
            json!({"game": "arena", "mode": "chess"}),
            422,
            "game.mode_unknown",
        ),
        (
            json!({"game": "arena", "players_max": 17}),
            422,
            "request.invalid",
        ),
        (
            json!({"game": "arena", "players_max": 0}),
            422,
            "request.invalid",
        ),
        (json!({"game": "arena", "name": ""}), 422, "request.invalid"),
        (
            json!({"game": "arena", "name": "x".repeat(65)}),
            422,
            "request.invalid",
        ),
        (
            json!({"game": "arena", "region": "The Moon"}),
            422,
            "request.invalid",
        ),
        (
            json!({"game": "arena", "tags": ["UPPER"]}),
            422,
            "request.invalid",
        ),
        (
            json!({"game": "arena", "tags": vec!["x"; 9]}),
            422,
            "request.invalid",
        ),
        (
            json!({"game": "arena", "region": "moon"}),
            503,
            "fleet.no_capacity",
        ),
    ] {
        world
            .post("sessions", &host, body)
            .await
            .refused(status, code);
    }
    assert!(world.instance.calls().is_empty());
}

#[tokio::test]
async fn a_game_stays_known_when_its_last_instance_is_gone() {
    let world = World::new().await;
    let host = world.guest().await;
    world.clock.advance(std::time::Duration::from_secs(4));
    let answer = world
        .post("sessions", &host, json!({"game": "arena"}))
        .await;
    answer.refused(503, "fleet.no_capacity");
    assert_eq!(answer.header("retry-after"), "3");
}

#[tokio::test]
async fn without_any_instance_ever_no_game_is_known() {
    let world = World::without_instance(config()).await;
    let host = world.guest().await;
    let answer = world
        .post("sessions", &host, json!({"game": "arena"}))
        .await;
    answer.refused(422, "game.unknown");
}

#[tokio::test]
async fn an_instance_that_is_full_gets_no_more_matches() {
    let world = World::new().await;
    let host = world.guest().await;
    let mut reports = Vec::new();
    for _ in 0..4 {
        let session = world.session(&host).await;
        reports.push(report(&session, "filling", &[]));
    }
    world.heartbeat(&reports).await;
    let answer = world
        .post("sessions", &host, json!({"game": "arena"}))
        .await;
    answer.refused(503, "fleet.no_capacity");
}

#[tokio::test]
async fn when_the_instance_fails_so_does_the_session() {
    let world = World::new().await;
    let host = world.guest().await;
    world.instance.set_mood(Mood::Broken);
    let answer = world
        .post("sessions", &host, json!({"game": "arena"}))
        .await;
    answer.refused(503, "fleet.unavailable");
    assert_eq!(answer.header("retry-after"), "3");
    let filter = SessionFilter {
        state: Some(SessionState::Failed),
        ..SessionFilter::default()
    };
    let failed = world
        .app
        .store
        .list_sessions(&filter, None, 10, world.app.now())
        .await
        .unwrap();
    assert_eq!(failed.len(), 1);
}

#[tokio::test]
async fn an_instance_that_turns_out_to_be_full_is_no_failure() {
    let world = World::new().await;
    let host = world.guest().await;
    world.instance.set_mood(Mood::Full);
    let answer = world
        .post("sessions", &host, json!({"game": "arena"}))
        .await;
    answer.refused(503, "fleet.no_capacity");
}

#[tokio::test]
async fn a_session_is_opened_to_the_end_when_its_client_hangs_up() {
    let world = World::new().await;
    let host = world.guest().await;
    world.instance.set_mood(Mood::Slow);
    let body = json!({"game": "arena"});
    tokio::select! {
        _ = world.post("sessions", &host, body) => panic!("answered too early"),
        () = world.instance.asked.notified() => {}
    }
    world.instance.allowed.notify_one();
    assert!(world.app.finish(std::time::Duration::from_secs(5)).await);
    let page: Page<Session> = world.get("sessions?state=filling", &host).await.expect(200);
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn nobody_fills_the_fleet_alone() {
    let limits = RateLimits {
        sessions_per_player: Some(1),
        ..RateLimits::default()
    };
    let world = World::without_instance(WebApiConfig {
        rate_limits: limits,
        ..config()
    })
    .await;
    world.register().await;
    let (host, other) = (world.guest().await, world.guest().await);
    world.session(&host).await;
    let answer = world
        .post("sessions", &host, json!({"game": "arena"}))
        .await;
    answer.refused(429, "rate.limited");
    world.session(&other).await;
}

#[tokio::test]
async fn the_host_alone_sees_the_code_of_a_private_session_and_nobody_finds_it_in_the_list() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let body = json!({"game": "arena", "visibility": "private"});
    let session: Session = world.post("sessions", &host, body).await.expect(201);
    assert_eq!(session.visibility, Visibility::Private);
    assert_eq!(session.join_code.as_ref().unwrap().len(), 6);
    assert_eq!(
        world.session_now(&session, &host).await.join_code,
        session.join_code
    );
    let body = json!({"join_code": session.join_code});
    world
        .try_join(&session, &other, body)
        .await
        .expect::<JoinAnswer>(200);
    assert_eq!(world.session_now(&session, &other).await.join_code, None);
    let page: Page<Session> = world.get("sessions", &host).await.expect(200);
    assert!(page.items.is_empty());
}

#[tokio::test]
async fn sessions_are_listed_page_by_page_newest_first() {
    let world = World::new().await;
    let host = world.guest().await;
    let mut opened = Vec::new();
    for _ in 0..3 {
        opened.insert(0, world.session(&host).await.id);
        world.clock.advance(std::time::Duration::from_millis(5));
    }
    let first: Page<Session> = world.get("sessions?limit=2", &host).await.expect(200);
    let cursor = first.next_cursor.unwrap();
    let path = format!("sessions?limit=2&cursor={cursor}");
    let second: Page<Session> = world.get(&path, &host).await.expect(200);
    assert_eq!(second.next_cursor, None);
    let listed: Vec<_> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|it| it.id)
        .collect();
    assert_eq!(listed, opened);
}

#[tokio::test]
async fn a_list_shows_only_what_its_filter_names() {
    let world = World::new().await;
    let host = world.guest().await;
    let body = json!({"game": "arena", "mode": "team", "tags": ["ranked"], "players_max": 2});
    let session: Session = world.post("sessions", &host, body).await.expect(201);
    for (filter, found) in [
        ("game=arena", true),
        ("game=duel", false),
        ("mode=team", true),
        ("mode=ffa", false),
        ("region=local", true),
        ("region=mars", false),
        ("state=filling", true),
        ("state=running", false),
        ("tag=ranked", true),
        ("tag=casual", false),
        ("free_slots_min=2", true),
        ("free_slots_min=3", false),
        ("game=arena&mode=team&tag=ranked", true),
    ] {
        let page: Page<Session> = world
            .get(&format!("sessions?{filter}"), &host)
            .await
            .expect(200);
        let expected = if found { vec![session.id] } else { Vec::new() };
        let listed: Vec<_> = page.items.iter().map(|it| it.id).collect();
        assert_eq!(listed, expected, "{filter}");
    }
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_filter_and_cannot_be_changed() {
    let world = World::new().await;
    let host = world.guest().await;
    for _ in 0..2 {
        world.session(&host).await;
    }
    let page: Page<Session> = world
        .get("sessions?limit=1&game=arena", &host)
        .await
        .expect(200);
    let cursor = page.next_cursor.unwrap();
    let get = async |query: String| world.get(&format!("sessions?limit=1&{query}"), &host).await;
    get(format!("game=arena&cursor={cursor}"))
        .await
        .expect::<Page<Session>>(200);
    get(format!("cursor={cursor}"))
        .await
        .refused(422, "cursor.invalid");
    get(format!("game=duel&cursor={cursor}"))
        .await
        .refused(422, "cursor.invalid");
    let changed = format!("{}A", &cursor[..cursor.len() - 1]);
    let changed = if changed == cursor {
        format!("B{}", &cursor[1..])
    } else {
        changed
    };
    get(format!("game=arena&cursor={changed}"))
        .await
        .refused(422, "cursor.invalid");
    get("game=arena&cursor=AAAA".to_owned())
        .await
        .refused(422, "cursor.invalid");
    let path = format!("players/{}/matches?cursor={cursor}", host.player.id);
    world.get(&path, &host).await.refused(422, "cursor.invalid");
}

#[tokio::test]
async fn an_unknown_filter_or_state_is_refused() {
    let world = World::new().await;
    let host = world.guest().await;
    for query in [
        "colour=red",
        "state=sleeping",
        "free_slots_min=many",
        "game=Not%20One",
    ] {
        let answer = world.get(&format!("sessions?{query}"), &host).await;
        answer.refused(422, "request.invalid");
    }
}

#[tokio::test]
async fn a_session_that_is_known_already_is_not_sent_again_until_it_changes() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let path = format!("sessions/{}", session.id);
    let tag = world.get(&path, &host).await.header("etag").to_owned();
    let again = async || {
        let call = world.call(Method::GET, &path).of(&host);
        call.header("if-none-match", &tag).send().await
    };
    assert_eq!(again().await.status, 304);
    world.join(&session, &host).await;
    assert_eq!(again().await.status, 200);
}

#[tokio::test]
async fn an_unknown_session_is_not_found_by_any_call() {
    let world = World::new().await;
    let host = world.guest().await;
    for id in ["00000000-0000-0000-0000-000000000001", "not-an-id"] {
        world
            .get(&format!("sessions/{id}"), &host)
            .await
            .refused(404, "session.not_found");
        for call in ["join", "leave", "end"] {
            let answer = world
                .post(&format!("sessions/{id}/{call}"), &host, json!({}))
                .await;
            answer.refused(404, "session.not_found");
        }
    }
}

#[tokio::test]
async fn the_same_idempotency_key_opens_one_session() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let create = async |who, key: &str, body: Value| {
        let call = world
            .call(Method::POST, "sessions")
            .of(who)
            .header("idempotency-key", key);
        call.json(&body).send().await
    };
    let body = json!({"game": "arena"});
    let first = create(&host, "key-1", body.clone()).await;
    let again = create(&host, "key-1", body.clone()).await;
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(again.status, 201);
    let changed = create(&host, "key-1", json!({"game": "arena", "mode": "team"})).await;
    changed.refused(422, "idempotency.key_reused");
    let others = create(&other, "key-1", body).await;
    assert_ne!(others.bytes, first.bytes);
    assert_eq!(world.instance.calls().len(), 2);
}

#[tokio::test]
async fn a_refused_request_may_be_tried_again_with_its_idempotency_key() {
    let world = World::new().await;
    let host = world.guest().await;
    let create = async || {
        let call = world
            .call(Method::POST, "sessions")
            .of(&host)
            .header("idempotency-key", "k");
        call.json(&json!({"game": "arena"})).send().await
    };
    world.instance.set_mood(Mood::Broken);
    create().await.refused(503, "fleet.unavailable");
    world.instance.set_mood(Mood::Willing);
    create().await.expect::<Session>(201);
}

#[tokio::test]
async fn a_key_whose_first_request_is_still_running_is_refused_for_now() {
    let world = World::new().await;
    let host = world.guest().await;
    let lock = format!("idempotency:{}:k", host.player.id);
    world
        .app
        .cache
        .put(&lock, &[], std::time::Duration::from_secs(30))
        .await
        .unwrap();
    let call = world
        .call(Method::POST, "sessions")
        .of(&host)
        .header("idempotency-key", "k");
    let answer = call.json(&json!({"game": "arena"})).send().await;
    answer.refused(409, "idempotency.in_progress");
}
