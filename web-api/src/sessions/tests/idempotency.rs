//! Requests that are sent twice with one key, and what a crash leaves of them.

use std::time::Duration;

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::session::{Page, Session, SessionState};
use gameserver_control::secret::ControlSecret;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::config::MATCH_START_DUE;
use crate::kit::db::Db;
use crate::tests::instance::{Call, FakeInstance, Mood};
use crate::tests::world::{CONTROL_SECRET, World, config};

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
    world.instance.set_mood(Mood::Broken);
    let refused = world.create_once(&host, "k").await;
    refused.refused(503, "fleet.unavailable");
    world.instance.set_mood(Mood::Willing);
    world.create_once(&host, "k").await.expect::<Session>(201);
}

#[tokio::test]
async fn a_key_whose_first_request_is_still_running_is_refused_for_now() {
    let world = World::new().await;
    let host = world.guest().await;
    world.instance.set_mood(Mood::Slow);
    let first = world.create_once(&host, "k");
    let meanwhile = async {
        world.instance.asked.notified().await;
        world.instance.set_mood(Mood::Broken);
        let again = world.create_once(&host, "k").await;
        world.instance.allowed.notify_one();
        again
    };
    let (first, meanwhile) = tokio::join!(first, meanwhile);
    meanwhile.refused(409, "idempotency.in_progress");
    let after = world.create_once(&host, "k").await;
    assert_eq!(first.expect::<Session>(201), after.expect::<Session>(201));
}

#[tokio::test]
async fn the_same_idempotency_key_holds_one_seat() {
    let world = World::new().await;
    let (host, guest) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    let join = async |body: Value| {
        let path = format!("sessions/{}/join", session.id);
        let call = world.call(Method::POST, &path).of(&guest);
        let call = call.header("idempotency-key", "k");
        call.json(&body).send().await
    };
    let first = join(json!({})).await;
    assert_eq!(first.status, 200);
    assert_eq!(join(json!({})).await.bytes, first.bytes);
    let watch = join(json!({"role": "spectator"})).await;
    watch.refused(422, "idempotency.key_reused");
    assert_eq!(world.session_now(&session, &host).await.players, 1);
}

/// A service that died after it had opened a session for a key, before any instance said that it
/// hosts the match.
struct Crash {
    instance: FakeInstance,
    host: LoginResponse,
    url: String,
    _folder: tempfile::TempDir,
}

impl Crash {
    async fn happens() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let secret = ControlSecret::new(CONTROL_SECRET).unwrap();
        let instance = FakeInstance::start(0xabc, &secret).await;
        instance.set_mood(Mood::Slow);
        // The process that dies: nothing of it runs on when its runtime is gone.
        let process = tokio::runtime::Runtime::new().unwrap();
        let (tell, host) = oneshot::channel();
        let (at, hosts) = (url.clone(), instance.clone());
        process.spawn(async move {
            let store = Db::connect(&at, 2).await.unwrap();
            store.migrate().await.unwrap();
            let world = World::on(&config(), store, hosts, 12);
            world.register().await;
            let host = world.guest().await;
            tell.send(host.clone()).unwrap();
            world.create_once(&host, "k").await
        });
        let host = host.await.unwrap();
        instance.asked.notified().await;
        process.shutdown_background();
        instance.set_mood(Mood::Willing);
        Self {
            instance,
            host,
            url,
            _folder: folder,
        }
    }

    /// The service after its next start.
    async fn restarted(&self) -> World {
        let store = Db::connect(&self.url, 2).await.unwrap();
        let world = World::on(&config(), store, self.instance.clone(), 13);
        world.register().await;
        world
    }

    /// The ids of the matches that the instance was asked to start, in order.
    fn starts(&self) -> Vec<String> {
        let calls = self.instance.calls().into_iter();
        let starts = calls.filter_map(|call| match call {
            Call::Start(start) => Some(start.match_id),
            Call::Stop(_) | Call::Kick(_) | Call::Read(_) => None,
        });
        starts.collect()
    }
}

async fn open_sessions(world: &World, who: &LoginResponse) -> Vec<Session> {
    let page: Page<Session> = world.get("sessions", who).await.expect(200);
    page.items
}

#[tokio::test]
async fn a_request_that_a_crash_cut_off_is_finished_when_it_is_repeated() {
    let crash = Crash::happens().await;
    let world = crash.restarted().await;
    let again = world.create_once(&crash.host, "k").await;
    let session: Session = again.expect(201);
    assert_eq!(session.state, SessionState::Filling);
    let match_id = session.match_id.to_string();
    assert_eq!(crash.starts(), [match_id.clone(), match_id]);
    assert_eq!(
        open_sessions(&world, &crash.host).await,
        std::slice::from_ref(&session)
    );
    let third = world.create_once(&crash.host, "k").await;
    assert_eq!(third.bytes, again.bytes);
    assert_eq!(crash.starts().len(), 2);
    world.join(&session, &crash.host).await;
}

#[tokio::test]
async fn a_match_whose_start_a_crash_cut_off_is_started_by_whoever_finds_it() {
    let crash = Crash::happens().await;
    let world = crash.restarted().await;
    assert_eq!(
        world.services.sessions.deliver_starts().await.unwrap(),
        0,
        "not due"
    );
    world.pass(MATCH_START_DUE, &[]).await;
    assert_eq!(world.services.sessions.deliver_starts().await.unwrap(), 1);
    let sessions = open_sessions(&world, &crash.host).await;
    let [session] = &sessions[..] else {
        panic!("one session was opened: {sessions:?}")
    };
    assert_eq!(session.state, SessionState::Filling);
    let again = world.create_once(&crash.host, "k").await;
    assert_eq!(again.expect::<Session>(201), *session);
    world.pass(MATCH_START_DUE, &[]).await;
    assert_eq!(
        world.services.sessions.deliver_starts().await.unwrap(),
        0,
        "done"
    );
}

#[tokio::test]
async fn a_session_whose_match_cannot_be_started_fails_and_its_key_is_free() {
    let crash = Crash::happens().await;
    let world = crash.restarted().await;
    crash.instance.set_mood(Mood::Full);
    world
        .pass(MATCH_START_DUE + Duration::from_secs(1), &[])
        .await;
    assert_eq!(world.services.sessions.deliver_starts().await.unwrap(), 1);
    assert_eq!(open_sessions(&world, &crash.host).await, []);
    crash.instance.set_mood(Mood::Willing);
    let again = world.create_once(&crash.host, "k").await;
    again.expect::<Session>(201);
    assert_eq!(open_sessions(&world, &crash.host).await.len(), 1);
}
