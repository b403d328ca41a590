//! The lobby pushed: snapshot, changes, ends, and who may listen.

use std::time::Duration;

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::session::{Session, SessionState};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{CHANGES_QUEUED_MAX, LISTENERS_PER_PLAYER_MAX};
use crate::sessions::job::LostInstances;
use crate::tests::world::{EventStream, World, report};

/// A world whose changes reach listeners, and the task that passes them on.
async fn world() -> (World, AbortOnDropHandle<()>) {
    let world = World::new().await;
    let sessions = world.services.sessions.clone();
    let subscription = sessions.topic.subscribe().await.unwrap();
    let passing_on =
        tokio::spawn(async move { sessions.topic.pass_on(&sessions, subscription).await });
    (world, AbortOnDropHandle::new(passing_on))
}

async fn listen(world: &World, path: &str, who: &LoginResponse) -> EventStream {
    world.call(Method::GET, path).of(who).open().await
}

fn state(session: &Value) -> &str {
    session["state"].as_str().unwrap()
}

#[tokio::test]
async fn a_listener_first_gets_the_list_as_it_is() {
    let (world, _task) = world().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let private = json!({"game": "arena", "visibility": "private"});
    world.post("sessions", &host, private).await;
    let mut events = listen(&world, "sessions/events", &host).await;
    let snapshot = events.expect("snapshot").await;
    let items: Vec<Session> = serde_json::from_value(snapshot["items"].clone()).unwrap();
    assert_eq!(items, [session]);
}

#[tokio::test]
async fn a_session_is_followed_from_its_opening_to_its_end() {
    let (world, _task) = world().await;
    let host = world.guest().await;
    let mut events = listen(&world, "sessions/events", &host).await;
    let snapshot = events.expect("snapshot").await;
    assert_eq!(snapshot, json!({"items": []}));

    let session = world.session(&host).await;
    let opened: Session = serde_json::from_value(events.expect("session").await).unwrap();
    assert_eq!(opened, session);
    world.join(&session, &host).await;
    assert_eq!(events.expect("session").await["players"], 1);
    world
        .heartbeat(&[report(&session, "running", &[(0, &host)])])
        .await;
    assert_eq!(state(&events.expect("session").await), "running");
    let path = format!("sessions/{}/leave", session.id);
    assert_eq!(world.post(&path, &host, json!({})).await.status, 204);
    assert_eq!(events.expect("session").await["players"], 0);

    world.heartbeat(&[report(&session, "failed", &[])]).await;
    assert_eq!(state(&events.expect("session").await), "failed");
    assert_eq!(events.expect("removed").await, json!({"id": session.id}));
}

#[tokio::test]
async fn a_lost_instance_takes_its_sessions_out_of_the_list() {
    let (world, _task) = world().await;
    let host = world.guest().await;
    world.session(&host).await;
    let mut events = listen(&world, "sessions/events", &host).await;
    events.expect("snapshot").await;
    let mut lost = LostInstances::default();
    world.clock.advance(Duration::from_secs(4));
    world.services.sessions.reap(&mut lost).await.unwrap();
    world.clock.advance(Duration::from_secs(4));
    world.services.sessions.reap(&mut lost).await.unwrap();
    assert_eq!(state(&events.expect("session").await), "failed");
    events.expect("removed").await;
}

#[tokio::test]
async fn numbers_of_events_never_go_back() {
    let (world, _task) = world().await;
    let host = world.guest().await;
    let mut events = listen(&world, "sessions/events", &host).await;
    events.expect("snapshot").await;
    let mut last = events.last_id();
    for _ in 0..3 {
        world.session(&host).await;
        events.expect("session").await;
        assert!(events.last_id() > last);
        last = events.last_id();
    }
    let mut later = listen(&world, "sessions/events", &host).await;
    later.expect("snapshot").await;
    assert_eq!(later.last_id(), last);
}

#[tokio::test]
async fn nobody_hears_of_private_sessions_in_the_list() {
    let (world, _task) = world().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let mut events = listen(&world, "sessions/events", &other).await;
    events.expect("snapshot").await;
    let private = json!({"game": "arena", "visibility": "private"});
    world.post("sessions", &host, private).await;
    let public = world.session(&host).await;
    // What comes next is of the session that was opened after the private one.
    assert_eq!(events.expect("session").await["id"], json!(public.id));
}

#[tokio::test]
async fn one_session_is_followed_alone_and_the_stream_ends_with_it() {
    let (world, _task) = world().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let private = json!({"game": "arena", "visibility": "private"});
    let session: Session = world.post("sessions", &host, private).await.expect(201);
    let code = json!({"join_code": session.join_code, "role": "spectator"});
    assert_eq!(world.try_join(&session, &other, code).await.status, 200);
    let path = format!("sessions/{}/events", session.id);
    let mut own = listen(&world, &path, &host).await;
    let mut others = listen(&world, &path, &other).await;
    assert_eq!(
        own.expect("session").await["join_code"],
        json!(session.join_code)
    );
    assert_eq!(others.expect("session").await["join_code"], Value::Null);
    world.session(&host).await;
    world.join(&session, &host).await;
    for events in [&mut own, &mut others] {
        assert_eq!(events.expect("session").await["players"], 1);
    }
    world.heartbeat(&[report(&session, "failed", &[])]).await;
    for mut events in [own, others] {
        assert_eq!(state(&events.expect("session").await), "failed");
        events.expect("removed").await;
        events.expect_end().await;
    }
}

#[tokio::test]
async fn a_session_that_is_over_is_told_once() {
    let (world, _task) = world().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let now = world.now();
    let store = &world.stores();
    let moved = store
        .sessions
        .transition(session.id, SessionState::Failed, now)
        .await;
    assert!(moved.unwrap().unwrap().is_ok());
    let path = format!("sessions/{}/events", session.id);
    let mut events = listen(&world, &path, &host).await;
    events.expect("session").await;
    events.expect("removed").await;
    events.expect_end().await;
    let unknown = "sessions/00000000-0000-0000-0000-000000000001/events";
    let answer = world.get(unknown, &host).await;
    answer.refused(404, "session.not_found");
}

#[tokio::test]
async fn a_listener_that_falls_behind_is_told_to_begin_anew() {
    let (world, _task) = world().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let mut slow = listen(&world, "sessions/events", &host).await;
    let mut quick = listen(&world, "sessions/events", &host).await;
    slow.expect("snapshot").await;
    quick.expect("snapshot").await;
    // The quick one hears each change before the next, so that none is told together with another.
    for number in 0..=CHANGES_QUEUED_MAX {
        let mut running = report(&session, "running", &[]);
        running.spectators = u32::try_from(number).unwrap() + 1;
        world.heartbeat(&[running]).await;
        quick.expect("session").await;
    }
    slow.expect("resync").await;
    slow.expect_end().await;
}

#[tokio::test]
async fn who_listened_before_changes_were_heard_begins_anew() {
    let world = World::new().await;
    let host = world.guest().await;
    let mut events = listen(&world, "sessions/events", &host).await;
    events.expect("snapshot").await;
    let stop = CancellationToken::new();
    let (sessions, until) = (world.services.sessions.clone(), stop.clone());
    let hearing = tokio::spawn(async move { sessions.topic.run(sessions.clone(), until).await });
    events.expect("resync").await;
    events.expect_end().await;
    stop.cancel();
    hearing.await.unwrap();
}

#[tokio::test]
async fn nobody_takes_all_the_places() {
    let (world, _task) = world().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let mut open = Vec::new();
    for _ in 0..LISTENERS_PER_PLAYER_MAX {
        open.push(listen(&world, "sessions/events", &host).await);
    }
    let answer = world.get("sessions/events", &host).await;
    answer.refused(503, "server.busy");
    assert_eq!(answer.header("retry-after"), "10");
    listen(&world, "sessions/events", &other).await;
    open.pop();
    listen(&world, "sessions/events", &host).await;
}

#[tokio::test]
async fn streams_end_when_the_process_is_about_to_stop() {
    let (world, _task) = world().await;
    let host = world.guest().await;
    let mut events = listen(&world, "sessions/events", &host).await;
    events.expect("snapshot").await;
    world.services.kit.tasks.drain();
    events.expect("resync").await;
    events.expect_end().await;
    let answer = world.get("sessions/events", &host).await;
    answer.refused(503, "server.not_ready");
}
