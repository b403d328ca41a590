//! Opening, finding and reading sessions.

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::ids::GameId;
use gameserver_contract::session::{JoinResponse, Page, Session, SessionState, SessionVisibility};
use serde_json::json;

use crate::config::{OpenSessionLimits, RateLimits, WebApiConfig};
use crate::sessions::store::records::SessionFilter;
use crate::tests::instance::Mood;
use crate::tests::world::{World, config, report};

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
async fn requests_that_no_game_fulfils_are_refused() {
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
async fn a_game_stays_known_when_the_cache_is_emptied() {
    let world = World::new().await;
    let host = world.guest().await;
    let store = world.services.kit.db.clone();
    let after = World::on(&config(), store, world.instance.clone(), 13);
    let body = json!({"game": "arena"});
    let answer = after.post("sessions", &host, body).await;
    answer.refused(503, "fleet.no_capacity");
    let body = json!({"game": "chess"});
    let answer = after.post("sessions", &host, body).await;
    answer.refused(422, "game.unknown");
}

#[tokio::test]
async fn a_configured_game_is_known_before_any_instance_has_registered() {
    let config = WebApiConfig {
        known_games: vec![GameId::new("arena").unwrap()],
        ..config()
    };
    let world = World::without_instance(config).await;
    let host = world.guest().await;
    let body = json!({"game": "arena"});
    let answer = world.post("sessions", &host, body).await;
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
        .stores()
        .sessions
        .list_sessions(&filter, None, 10, world.now())
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
    assert!(
        world
            .services
            .kit
            .tasks
            .finish(std::time::Duration::from_secs(5))
            .await
    );
    let page: Page<Session> = world.get("sessions?state=filling", &host).await.expect(200);
    assert_eq!(page.items.len(), 1);
}

fn with_open_sessions(per_player: u32, per_address: u32) -> WebApiConfig {
    WebApiConfig {
        open_sessions: OpenSessionLimits {
            per_player: Some(per_player),
            per_address: Some(per_address),
        },
        ..config()
    }
}

#[tokio::test]
async fn a_player_has_so_many_sessions_open_and_no_more() {
    let world = World::without_instance(with_open_sessions(2, 100)).await;
    world.register().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let create = async |who| {
        let body = json!({"game": "arena"});
        world.post("sessions", who, body).await
    };
    // All at once: the limit holds all the same.
    let (a, b, c) = tokio::join!(create(&host), create(&host), create(&host));
    let mut opened: Vec<Session> = Vec::new();
    for answer in [a, b, c] {
        if answer.status == 201 {
            opened.push(answer.expect(201));
        } else {
            let problem = answer.refused(409, "session.player_limit");
            assert_eq!(problem["details"]["max"], "2");
        }
    }
    assert_eq!(opened.len(), 2);
    create(&other).await.expect::<Session>(201);
    world.instance.set_mood(Mood::Forgetful);
    let end = format!("sessions/{}/end", opened[0].id);
    world
        .post(&end, &host, json!({}))
        .await
        .expect::<Session>(200);
    world.instance.set_mood(Mood::Willing);
    create(&host).await.expect::<Session>(201);
}

#[tokio::test]
async fn one_address_does_not_fill_the_fleet_with_many_guests() {
    let world = World::without_instance(with_open_sessions(10, 3)).await;
    world.register().await;
    let create = async |who: &LoginResponse, peer: &str, key: &str| {
        let call = world.call(Method::POST, "sessions").of(who).from(peer);
        let call = call.header("idempotency-key", key);
        call.json(&json!({"game": "arena"})).send().await
    };
    for number in 1..=3 {
        let host = world.guest().await;
        let peer = format!("[2001:db8::{number}]");
        create(&host, &peer, "k").await.expect::<Session>(201);
    }
    let host = world.guest().await;
    let refused = create(&host, "[2001:db8::4]", "k").await;
    let problem = refused.refused(429, "session.address_limit");
    assert_eq!(problem["details"]["max"], "3");
    assert_eq!(refused.header("retry-after"), "10");
    // The key stands for nothing, and elsewhere there is room.
    let elsewhere = create(&host, "[2001:db8:0:1::4]", "k").await;
    elsewhere.expect::<Session>(201);
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
    assert_eq!(session.visibility, SessionVisibility::Private);
    assert_eq!(session.join_code.as_ref().unwrap().len(), 6);
    assert_eq!(
        world.session_now(&session, &host).await.join_code,
        session.join_code
    );
    let body = json!({"join_code": session.join_code});
    world
        .try_join(&session, &other, body)
        .await
        .expect::<JoinResponse>(200);
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
async fn a_session_is_named_by_the_rule_for_all_names() {
    let world = World::new().await;
    let host = world.guest().await;
    for name in ["\u{3164}", "a\u{202e}b", "\u{430}dmin"] {
        let body = json!({"game": "arena", "name": name});
        let answer = world.post("sessions", &host, body).await;
        let problem = answer.refused(422, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/name", "{name:?}");
    }
}
