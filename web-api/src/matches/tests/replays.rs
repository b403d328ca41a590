//! Replays: logs of matches that are over, read from their instance, whole or in part.

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::ids::Seat;
use gameserver_contract::result::{MatchOutcome, MatchResult, PlayerResult};
use gameserver_contract::session::{Session, SessionState};
use gameserver_control::REPLAY_BYTES_MAX;
use serde_json::json;

use crate::tests::instance::{Call, Log, Mood};
use crate::tests::world::{Answer, START_MS, World};

/// Longer than one answer of an instance, and not a multiple of it.
const LENGTH: usize = REPLAY_BYTES_MAX as usize * 2 + 1_000;

fn log() -> Log {
    Log {
        bytes: (0..LENGTH).map(|at| (at / 7).to_le_bytes()[0]).collect(),
        is_complete: true,
    }
}

async fn end(world: &World, session: &Session) {
    let store = &world.stores();
    let moved = store
        .sessions
        .transition(session.id, SessionState::Failed, world.now());
    assert!(moved.await.unwrap().unwrap().is_ok());
}

/// A session that is over, and its log.
async fn over() -> (World, LoginResponse, Session) {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    end(&world, &session).await;
    world.instance.set_log(Some(log()));
    (world, host, session)
}

async fn get(
    (world, host, session): &(World, LoginResponse, Session),
    headers: &[(&str, &str)],
) -> Answer {
    send(Method::GET, (world, host, session), headers).await
}

async fn send(
    method: Method,
    (world, host, session): (&World, &LoginResponse, &Session),
    headers: &[(&str, &str)],
) -> Answer {
    let call = world.call(method, &format!("sessions/{}/replay", session.id));
    let call = headers.iter().fold(call.of(host), |call, (name, value)| {
        call.header(name, value)
    });
    call.send().await
}

#[tokio::test]
async fn a_replay_arrives_whole_with_all_that_a_download_needs() {
    let over = over().await;
    let answer = get(&over, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.bytes, log().bytes);
    let id = over.2.match_id;
    for (name, value) in [
        ("content-type", "application/vnd.gameserver.replay"),
        ("content-length", &LENGTH.to_string()),
        ("accept-ranges", "bytes"),
        ("x-replay-complete", "true"),
        ("etag", &format!("\"{id}.{LENGTH}\"")),
        (
            "content-disposition",
            &format!("attachment; filename=\"{id}.gslog\""),
        ),
    ] {
        assert_eq!(answer.header(name), value);
    }
}

#[tokio::test]
async fn a_range_is_answered_with_just_its_bytes() {
    let over = over().await;
    let across = REPLAY_BYTES_MAX - 10;
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 1),
        (format!("bytes={across}-"), across as usize, LENGTH),
        ("bytes=-5".to_owned(), LENGTH - 5, LENGTH),
        (format!("bytes=100-{}", u64::MAX), 100, LENGTH),
    ] {
        let answer = get(&over, &[("range", &range)]).await;
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.bytes == log().bytes[from..to], "{range}");
        let told = format!("bytes {from}-{}/{LENGTH}", to - 1);
        assert_eq!(answer.header("content-range"), told);
        assert_eq!(answer.header("content-length"), (to - from).to_string());
    }
}

#[tokio::test]
async fn a_range_beyond_the_end_is_told_the_length() {
    let over = over().await;
    let answer = get(&over, &[("range", &format!("bytes={LENGTH}-"))]).await;
    answer.refused(416, "request.range_not_satisfiable");
    assert_eq!(answer.header("content-range"), format!("bytes */{LENGTH}"));
}

#[tokio::test]
async fn a_range_of_another_version_brings_the_whole_log() {
    let over = over().await;
    let tag = get(&over, &[]).await.header("etag").to_owned();
    let fitting = [("range", "bytes=0-9"), ("if-range", tag.as_str())];
    assert_eq!(get(&over, &fitting).await.status, 206);
    world_cuts_the_log(&over);
    let answer = get(&over, &fitting).await;
    assert_eq!((answer.status.as_u16(), answer.bytes.len()), (200, 100));
    assert_eq!(answer.header("x-replay-complete"), "false");
    assert_ne!(answer.header("etag"), tag);
}

fn world_cuts_the_log((world, ..): &(World, LoginResponse, Session)) {
    world.instance.set_log(Some(Log {
        bytes: log().bytes[..100].to_vec(),
        is_complete: false,
    }));
}

#[tokio::test]
async fn a_replay_that_is_known_already_is_not_sent_again() {
    let over = over().await;
    let tag = get(&over, &[]).await.header("etag").to_owned();
    let again = get(&over, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
}

#[tokio::test]
async fn head_tells_the_length_and_reads_nothing() {
    let over = over().await;
    let answer = send(Method::HEAD, (&over.0, &over.1, &over.2), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.bytes.len()), (200, 0));
    assert_eq!(answer.header("content-length"), LENGTH.to_string());
    let read = over.0.instance.calls().into_iter().any(|call| match call {
        Call::Read(request) => request.length_max > 0,
        Call::Start(_) | Call::Stop(_) | Call::Kick(_) => false,
    });
    assert!(!read);
}

#[tokio::test]
async fn nobody_gets_the_replay_of_a_match_that_runs() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    world.instance.set_log(Some(log()));
    let running = (world, host, session);
    let problem = get(&running, &[]).await.refused(409, "replay.not_ready");
    assert_eq!(problem["details"]["state"], "filling");
    end(&running.0, &running.2).await;
    assert_eq!(get(&running, &[]).await.status, 200);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let over = over().await;
    over.0.instance.set_log(None);
    get(&over, &[]).await.refused(404, "replay.not_found");
    over.0.instance.set_mood(Mood::Broken);
    get(&over, &[]).await.refused(503, "fleet.unavailable");
    over.0.clock.advance(std::time::Duration::from_secs(4));
    get(&over, &[]).await.refused(503, "session.instance_lost");
}

#[tokio::test]
async fn the_replay_of_a_private_session_is_for_its_host_and_its_players() {
    let world = World::new().await;
    let (host, player, stranger) = (
        world.guest().await,
        world.guest().await,
        world.guest().await,
    );
    let body = json!({"game": "arena", "visibility": "private"});
    let session: Session = world.post("sessions", &host, body).await.expect(201);
    let result = result(&session, &player);
    let stored = world
        .stores()
        .matches
        .store_result(&result, world.now())
        .await;
    stored.unwrap();
    world.instance.set_log(Some(log()));
    for (who, status) in [(&host, 200), (&player, 200), (&stranger, 404)] {
        let answer = send(Method::HEAD, (&world, who, &session), &[]).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn the_replay_of_a_session_that_nobody_may_watch_is_for_its_host_and_its_players() {
    for (policy, code) in [
        (json!({"allowed": false}), "session.spectators_not_allowed"),
        (json!({"view": "team"}), "session.view_not_allowed"),
    ] {
        let (world, [host, player, stranger], session) = ended_granting(policy).await;
        for who in [&host, &player] {
            let answer = send(Method::HEAD, (&world, who, &session), &[]).await;
            assert_eq!(answer.status, 200);
        }
        let answer = send(Method::GET, (&world, &stranger, &session), &[]).await;
        answer.refused(403, code);
    }
}

#[tokio::test]
async fn a_replay_is_for_everybody_once_the_spectators_delay_has_passed() {
    let (world, [host, player, stranger], session) = ended_granting(json!({"delay_s": 2})).await;
    for who in [&host, &player] {
        let answer = send(Method::HEAD, (&world, who, &session), &[]).await;
        assert_eq!(answer.status, 200);
    }
    for left in ["2", "1"] {
        let answer = send(Method::GET, (&world, &stranger, &session), &[]).await;
        let problem = answer.refused(409, "replay.not_ready");
        assert_eq!(problem["details"]["state"], "ended");
        assert_eq!(answer.header("retry-after"), left);
        world.clock.advance(std::time::Duration::from_secs(1));
    }
    let answer = send(Method::HEAD, (&world, &stranger, &session), &[]).await;
    assert_eq!(answer.status, 200);
}

/// A public session that is over: its host, who played in it, and somebody else.
async fn ended_granting(spectators: serde_json::Value) -> (World, [LoginResponse; 3], Session) {
    let world = World::new().await;
    let people = [
        world.guest().await,
        world.guest().await,
        world.guest().await,
    ];
    let body = json!({"game": "arena", "spectators": spectators});
    let session: Session = world.post("sessions", &people[0], body).await.expect(201);
    let result = result(&session, &people[1]);
    let stored = world
        .stores()
        .matches
        .store_result(&result, world.now())
        .await;
    stored.unwrap();
    world.instance.set_log(Some(log()));
    (world, people, session)
}

fn result(session: &Session, player: &LoginResponse) -> MatchResult {
    MatchResult {
        match_id: session.match_id,
        session: session.id,
        game: session.game.clone(),
        mode: session.mode.clone(),
        outcome: MatchOutcome::Finished,
        ticks: 60,
        started_at_ms: START_MS,
        ended_at_ms: START_MS + 1_000,
        players: vec![PlayerResult {
            player: player.player.id,
            seat: Seat(0),
            placement: 1,
            score: 0,
            stats: std::collections::BTreeMap::new(),
            stayed: true,
        }],
    }
}
