//! Joining sessions.

use std::time::Duration;

use axum::http::Method;
use futures_util::poll;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::ids::Seat;
use gameserver_contract::session::{JoinResponse, Role, Session, SessionState, TransportKind};
use gameserver_control::{Admits, MatchStatus};
use serde_json::json;

use crate::config::INSTANCE_LEASE;
use crate::sessions::job::LostInstances;
use crate::tests::world::{World, report};

#[tokio::test]
async fn a_join_holds_a_seat_and_signs_a_ticket_for_it() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let answer = world.join(&session, &host).await;
    assert_eq!((answer.seat, answer.role), (Some(Seat(0)), Role::Player));
    let kinds: Vec<_> = answer.transports.iter().map(|offer| offer.kind).collect();
    assert_eq!(kinds, [TransportKind::Quic, TransportKind::WebSocket]);
    assert_eq!(answer.transports[1].certificate_sha256, None);
    let ticket = world.read_ticket(&answer.ticket);
    assert_eq!(
        (ticket.player, ticket.session),
        (host.player.id, session.id)
    );
    assert_eq!(
        (ticket.match_id, ticket.seat),
        (session.match_id, answer.seat)
    );
    assert_eq!(ticket.display_name, host.player.display_name);
    assert_eq!(ticket.expires_at_ms, answer.expires_at.timestamp_millis());
    assert_eq!(ticket.expires_at_ms - ticket.issued_at_ms, 10_000);
    assert_eq!(world.session_now(&session, &host).await.players, 1);
}

#[tokio::test]
async fn who_joins_again_gets_the_same_seat() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    world.join(&session, &other).await;
    let first = world.join(&session, &host).await;
    let again = world.join(&session, &host).await;
    assert_eq!(first.seat, again.seat);
    assert_ne!(first.ticket, again.ticket);
}

/// A session for two, which the first two of these guests have joined.
async fn full_session(world: &World) -> ([LoginResponse; 3], Session) {
    let guests = [
        world.guest().await,
        world.guest().await,
        world.guest().await,
    ];
    let body = json!({"game": "arena", "players_max": 2});
    let session: Session = world.post("sessions", &guests[0], body).await.expect(201);
    world.join(&session, &guests[0]).await;
    world.join(&session, &guests[1]).await;
    (guests, session)
}

#[tokio::test]
async fn a_full_session_takes_spectators_but_no_player() {
    let world = World::new().await;
    let (guests, session) = full_session(&world).await;
    world
        .try_join(&session, &guests[2], json!({}))
        .await
        .refused(409, "session.full");
    let watching = world
        .try_join(&session, &guests[2], json!({"role": "spectator"}))
        .await;
    let watching: JoinResponse = watching.expect(200);
    assert_eq!((watching.seat, watching.role), (None, Role::Spectator));
    assert_eq!(world.read_ticket(&watching.ticket).role, Role::Spectator);
}

#[tokio::test]
async fn a_seat_that_nobody_takes_returns_after_ten_seconds() {
    let world = World::new().await;
    let (guests, session) = full_session(&world).await;
    // The first one connects, the second one does not.
    let reports = [report(&session, "filling", &[(0, &guests[0])])];
    world.pass(Duration::from_secs(9), &reports).await;
    world
        .try_join(&session, &guests[2], json!({}))
        .await
        .refused(409, "session.full");
    world.pass(Duration::from_secs(1), &reports).await;
    assert_eq!(world.session_now(&session, &guests[0]).await.players, 1);
    assert_eq!(world.join(&session, &guests[2]).await.seat, Some(Seat(1)));
}

#[tokio::test]
async fn a_private_session_needs_its_code_except_from_its_host() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let body = json!({"game": "arena", "visibility": "private"});
    let session: Session = world.post("sessions", &host, body).await.expect(201);
    let code = session.join_code.clone().unwrap();
    for body in [
        json!({}),
        json!({"join_code": "AAAAAA"}),
        json!({"join_code": ""}),
    ] {
        let answer = world.try_join(&session, &other, body).await;
        answer.refused(404, "session.not_found");
    }
    let typed = format!(" {} ", code.to_lowercase());
    let answer = world
        .try_join(&session, &other, json!({"join_code": typed}))
        .await;
    answer.expect::<JoinResponse>(200);
    world.join(&session, &host).await;
}

#[tokio::test]
async fn join_codes_cannot_be_guessed_at_will() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let body = json!({"game": "arena", "visibility": "private"});
    let session: Session = world.post("sessions", &host, body).await.expect(201);
    for _ in 0..10 {
        let answer = world
            .try_join(&session, &other, json!({"join_code": "AAAAAA"}))
            .await;
        answer.refused(404, "session.not_found");
    }
    let right = json!({"join_code": session.join_code});
    world
        .try_join(&session, &other, right)
        .await
        .refused(429, "rate.limited");
}

#[tokio::test]
async fn a_session_that_is_over_cannot_be_joined() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    world.heartbeat(&[report(&session, "ending", &[])]).await;
    let answer = world.try_join(&session, &host, json!({})).await;
    let problem = answer.refused(409, "session.not_joinable");
    assert_eq!(problem["details"]["state"], "ending");
}

/// The report of a match that admits so many.
fn admitting(session: &Session, admits: Admits, seats: &[(u32, &LoginResponse)]) -> MatchStatus {
    MatchStatus {
        admits: admits.into(),
        ..report(session, "running", seats)
    }
}

#[tokio::test]
async fn an_overloaded_match_refuses_new_players_before_a_seat_is_held() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    let full = [admitting(&session, Admits::Nobody, &[])];
    world.heartbeat(&full).await;
    for body in [json!({}), json!({"role": "spectator"})] {
        let answer = world.try_join(&session, &other, body).await;
        answer.refused(503, "session.overloaded");
        assert_eq!(answer.header("retry-after"), "2");
    }
    assert_eq!(world.session_now(&session, &host).await.players, 0);
    let free = [admitting(&session, Admits::Everybody, &[])];
    world.heartbeat(&free).await;
    world.join(&session, &other).await;
}

#[tokio::test]
async fn an_overloaded_match_refuses_spectators_first() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    let busy = [admitting(&session, Admits::Players, &[])];
    world.heartbeat(&busy).await;
    let answer = world
        .try_join(&session, &other, json!({"role": "spectator"}))
        .await;
    answer.refused(503, "session.overloaded");
    world.join(&session, &other).await;
}

#[tokio::test]
async fn who_has_a_seat_in_an_overloaded_match_may_come_back_to_it() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    let seat = world.join(&session, &host).await.seat;
    let full = [admitting(&session, Admits::Nobody, &[(0, &host)])];
    world.heartbeat(&full).await;
    assert_eq!(world.join(&session, &host).await.seat, seat);
    let answer = world.try_join(&session, &other, json!({})).await;
    answer.refused(503, "session.overloaded");
}

#[tokio::test]
async fn one_overloaded_match_closes_no_other() {
    let world = World::new().await;
    let host = world.guest().await;
    let (full, free) = (world.session(&host).await, world.session(&host).await);
    let reports = [
        admitting(&full, Admits::Nobody, &[]),
        admitting(&free, Admits::Everybody, &[]),
    ];
    world.heartbeat(&reports).await;
    world.join(&free, &host).await;
    let answer = world.try_join(&full, &host, json!({})).await;
    answer.refused(503, "session.overloaded");
}

#[tokio::test]
async fn a_lost_instance_is_told_at_once_and_its_sessions_fail_soon_after() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let mut lost = LostInstances::default();
    world.clock.advance(Duration::from_secs(4));
    let answer = world.try_join(&session, &host, json!({})).await;
    answer.refused(503, "session.instance_lost");
    assert_eq!(answer.header("retry-after"), "3");
    assert_eq!(world.services.sessions.reap(&mut lost).await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(3));
    assert_eq!(world.services.sessions.reap(&mut lost).await.unwrap(), 1);
    assert_eq!(
        world.session_now(&session, &host).await.state,
        SessionState::Failed
    );
    let answer = world.try_join(&session, &host, json!({})).await;
    answer.refused(409, "session.not_joinable");
}

#[tokio::test]
async fn sessions_survive_when_their_instance_comes_back_in_time() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let mut lost = LostInstances::default();
    world.clock.advance(Duration::from_secs(4));
    world.services.sessions.reap(&mut lost).await.unwrap();
    assert!(!world.heartbeat(&[]).await.known);
    world.register().await;
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.services.sessions.reap(&mut lost).await.unwrap(), 0);
    world.join(&session, &host).await;
}

#[tokio::test]
async fn a_new_run_of_an_instance_ends_the_sessions_of_the_old_one() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let mut second = world.instance.registration();
    second.epoch = 0;
    world.services.sessions.register(second).await.unwrap();
    assert_eq!(
        world.session_now(&session, &host).await.state,
        SessionState::Failed
    );
    assert!(
        !world.heartbeat(&[]).await.known,
        "the old run is not known any more"
    );
}

#[tokio::test]
async fn a_heartbeat_that_arrives_late_changes_nothing() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let old = world
        .instance
        .heartbeat(vec![report(&session, "ending", &[])]);
    world
        .heartbeat(&[report(&session, "running", &[(0, &host)])])
        .await;
    assert!(world.services.sessions.heartbeat(old).await.unwrap().known);
    assert_eq!(
        world.session_now(&session, &host).await.state,
        SessionState::Running
    );
}

#[tokio::test]
async fn a_lease_is_renewed_while_an_earlier_report_waits_for_the_database() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let (fleet, sessions) = (&world.services.fleet, &world.services.sessions);
    let running = vec![report(&session, "running", &[(0, &host)])];
    let held_up = fleet.turn(world.instance.id).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        world.clock.advance(INSTANCE_LEASE / 2);
        let mut call = Box::pin(sessions.heartbeat(world.instance.heartbeat(running.clone())));
        assert!(poll!(&mut call).is_pending(), "it was applied out of turn");
        waiting.push(call);
        let alive = fleet.instance(world.instance.id).await.unwrap();
        assert!(alive.is_some(), "the lease ended");
    }
    drop(held_up);
    for call in waiting {
        assert!(call.await.unwrap().known);
    }
    let session = world.session_now(&session, &host).await;
    assert_eq!((session.state, session.players), (SessionState::Running, 1));
}

#[tokio::test]
async fn a_report_that_a_newer_one_overtook_is_not_applied() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let sessions = &world.services.sessions;
    let first = vec![report(&session, "ending", &[])];
    let second = vec![report(&session, "running", &[(0, &host)])];
    let held_up = world.services.fleet.turn(world.instance.id).await;
    let mut overtaken = Box::pin(sessions.heartbeat(world.instance.heartbeat(first)));
    assert!(poll!(&mut overtaken).is_pending());
    let mut newest = Box::pin(sessions.heartbeat(world.instance.heartbeat(second)));
    assert!(poll!(&mut newest).is_pending());
    drop(held_up);
    assert!(overtaken.await.unwrap().known);
    assert!(newest.await.unwrap().known);
    let state = world.session_now(&session, &host).await.state;
    assert_eq!(state, SessionState::Running);
}

#[tokio::test]
async fn a_match_that_no_session_has_is_to_be_stopped() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let mut stray = report(&session, "running", &[]);
    stray.match_id = uuid::Uuid::from_u128(99).to_string();
    let answer = world
        .heartbeat(&[stray.clone(), report(&session, "running", &[])])
        .await;
    assert_eq!(answer.stop_match_ids, [stray.match_id]);
}

#[tokio::test]
async fn the_same_idempotency_key_returns_the_same_ticket() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let join = async |body: &str| {
        let call = world.call(Method::POST, &format!("sessions/{}/join", session.id));
        call.of(&host)
            .header("idempotency-key", "j")
            .text(body)
            .send()
            .await
    };
    let first = join("{}").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.bytes, join("{}").await.bytes);
    join(r#"{"role":"spectator"}"#)
        .await
        .refused(422, "idempotency.key_reused");
}

#[tokio::test]
async fn nobody_is_sent_to_an_instance_that_is_about_to_stop() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let draining = async |matches| {
        let mut last = world.instance.heartbeat(matches);
        last.draining = true;
        world.services.sessions.heartbeat(last).await.unwrap();
    };
    for matches in [Vec::new(), vec![report(&session, "filling", &[])]] {
        draining(matches).await;
        for role in ["player", "spectator"] {
            let answer = world.try_join(&session, &host, json!({"role": role})).await;
            let problem = answer.refused(409, "session.not_joinable");
            assert_eq!(problem["details"]["state"], "draining");
        }
    }
    let now = world.session_now(&session, &host).await;
    assert_eq!(now.state, SessionState::Draining);
    draining(vec![report(&session, "ending", &[])]).await;
    let now = world.session_now(&session, &host).await;
    assert_eq!(now.state, SessionState::Ending);
}
