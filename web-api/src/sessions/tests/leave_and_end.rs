//! Leaving and ending sessions.

use axum::http::Method;
use gameserver_contract::account::LoginResponse;
use gameserver_contract::ids::PlayerId;
use gameserver_contract::session::{Session, SessionState};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::config::SEAT_HOLD;
use crate::tests::instance::{Call, Mood};
use crate::tests::world::{Answer, World, report};

async fn leave(world: &World, session: &Session, who: &LoginResponse) -> Answer {
    world
        .post(&format!("sessions/{}/leave", session.id), who, json!({}))
        .await
}

async fn end(world: &World, session: &Session, who: &LoginResponse) -> Answer {
    world
        .post(&format!("sessions/{}/end", session.id), who, json!({}))
        .await
}

#[tokio::test]
async fn leaving_gives_the_seat_back_and_closes_the_connection() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    world.join(&session, &host).await;
    assert_eq!(leave(&world, &session, &host).await.status, 204);
    assert_eq!(world.session_now(&session, &host).await.players, 0);
    let Some(Call::Kick(kick)) = world.instance.calls().pop() else {
        panic!("no kick")
    };
    assert_eq!(kick.player_id, host.player.id.to_string());
    assert_eq!(kick.match_id, session.match_id.to_string());
}

#[tokio::test]
async fn leaving_works_without_a_seat_and_without_the_instance() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    assert_eq!(leave(&world, &session, &host).await.status, 204);
    world.instance.set_mood(Mood::Broken);
    world.join(&session, &host).await;
    assert_eq!(leave(&world, &session, &host).await.status, 204);
    assert_eq!(world.session_now(&session, &host).await.players, 0);
}

#[tokio::test]
async fn the_host_ends_a_session_and_the_instance_stops_its_match() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    let ended: Session = end(&world, &session, &host).await.expect(200);
    assert_eq!(ended.state, SessionState::Ending);
    let Some(Call::Stop(stop)) = world.instance.calls().pop() else {
        panic!("no stop")
    };
    assert_eq!(stop.match_id, session.match_id.to_string());
}

#[tokio::test]
async fn nobody_but_the_host_may_end_a_session() {
    let world = World::new().await;
    let (host, other) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    end(&world, &session, &other)
        .await
        .refused(403, "session.not_host");
    assert_eq!(
        world.session_now(&session, &host).await.state,
        SessionState::Filling
    );
}

#[tokio::test]
async fn a_session_ends_once() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    end(&world, &session, &host).await.expect::<Session>(200);
    let problem = end(&world, &session, &host)
        .await
        .refused(409, "session.illegal_transition");
    assert_eq!(problem["details"]["state"], "ending");
}

#[tokio::test]
async fn a_session_that_the_instance_does_not_host_ends_without_a_result() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    world.instance.set_mood(Mood::Forgetful);
    let ended: Session = end(&world, &session, &host).await.expect(200);
    assert_eq!(ended.state, SessionState::Ended);
}

#[tokio::test]
async fn a_session_whose_instance_is_gone_fails_when_it_is_ended() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    world.clock.advance(std::time::Duration::from_secs(4));
    let ended: Session = end(&world, &session, &host).await.expect(200);
    assert_eq!(ended.state, SessionState::Failed);
}

#[tokio::test]
async fn a_stop_that_was_lost_is_repeated_by_the_answer_to_the_next_heartbeat() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    world.instance.set_mood(Mood::Broken);
    let ended: Session = end(&world, &session, &host).await.expect(200);
    assert_eq!(ended.state, SessionState::Ending);
    let answer = world
        .heartbeat(&[report(&session, "running", &[(0, &host)])])
        .await;
    assert_eq!(answer.stop_match_ids, [session.match_id.to_string()]);
    let answer = world.heartbeat(&[report(&session, "ending", &[])]).await;
    assert!(answer.stop_match_ids.is_empty());
}

/// A session that its host and a guest play, in these seats.
async fn two_who_play(world: &World) -> (Session, LoginResponse, LoginResponse) {
    let (host, guest) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    world.join(&session, &host).await;
    world.join(&session, &guest).await;
    let both = [(0, &host), (1, &guest)];
    world.heartbeat(&[report(&session, "running", &both)]).await;
    (session, host, guest)
}

async fn host_of(world: &World, session: &Session, who: &LoginResponse) -> PlayerId {
    world.session_now(session, who).await.host_player_id
}

#[tokio::test]
async fn a_host_who_leaves_is_followed_by_somebody_who_is_there() {
    let world = World::new().await;
    let (session, host, guest) = two_who_play(&world).await;
    let path = format!("sessions/{}/events", session.id);
    let sessions = world.services.sessions.clone();
    let subscription = sessions.topic.subscribe().await.unwrap();
    let passing_on = async move { sessions.topic.pass_on(&sessions, subscription).await };
    let _task = AbortOnDropHandle::new(tokio::spawn(passing_on));
    let mut events = world.call(Method::GET, &path).of(&guest).open().await;
    events.expect("session").await;

    assert_eq!(leave(&world, &session, &host).await.status, 204);
    let told = events.expect("session").await;
    assert_eq!(told["host_player_id"], json!(guest.player.id));
    let refused = end(&world, &session, &host).await;
    refused.refused(403, "session.not_host");
    end(&world, &session, &guest).await.expect::<Session>(200);
}

#[tokio::test]
async fn a_host_whom_the_instance_does_not_seat_any_more_is_followed() {
    let world = World::new().await;
    let (session, host, guest) = two_who_play(&world).await;
    // Kicked, timed out or gone: the instance says only that the seat is free.
    world
        .heartbeat(&[report(&session, "running", &[(1, &guest)])])
        .await;
    assert_eq!(host_of(&world, &session, &host).await, guest.player.id);
    // Nobody becomes the host again by coming back.
    world.join(&session, &host).await;
    let both = [(0, &host), (1, &guest)];
    world.heartbeat(&[report(&session, "running", &both)]).await;
    assert_eq!(host_of(&world, &session, &host).await, guest.player.id);
}

#[tokio::test]
async fn the_last_who_leaves_stays_the_host_until_somebody_comes() {
    let world = World::new().await;
    let (session, host, guest) = two_who_play(&world).await;
    world.heartbeat(&[report(&session, "running", &[])]).await;
    assert_eq!(host_of(&world, &session, &host).await, host.player.id);
    world.join(&session, &guest).await;
    assert_eq!(host_of(&world, &session, &host).await, host.player.id);
    world
        .heartbeat(&[report(&session, "running", &[(0, &guest)])])
        .await;
    assert_eq!(host_of(&world, &session, &host).await, guest.player.id);
}

#[tokio::test]
async fn a_host_who_has_not_come_yet_or_is_on_the_way_back_stays_the_host() {
    let world = World::new().await;
    let (host, guest) = (world.guest().await, world.guest().await);
    let session = world.session(&host).await;
    world.join(&session, &guest).await;
    let without = [report(&session, "running", &[(0, &guest)])];
    world.heartbeat(&without).await;
    assert_eq!(host_of(&world, &session, &host).await, host.player.id);
    world.join(&session, &host).await;
    let both = [(0, &guest), (1, &host)];
    world.heartbeat(&[report(&session, "running", &both)]).await;
    world.join(&session, &host).await;
    world.heartbeat(&without).await;
    assert_eq!(host_of(&world, &session, &host).await, host.player.id);
    world.pass(SEAT_HOLD, &without).await;
    assert_eq!(host_of(&world, &session, &host).await, guest.player.id);
}

#[tokio::test]
async fn a_login_that_ends_takes_its_seats_with_it() {
    let world = World::new().await;
    let (session, host, guest) = two_who_play(&world).await;
    let both = [report(&session, "running", &[(0, &host), (1, &guest)])];
    assert_eq!(world.heartbeat(&both).await.kick_players, []);
    log_out(&world, &guest).await;
    for _ in 0..2 {
        let told = world.heartbeat(&both).await.kick_players;
        let [kick] = &told[..] else {
            panic!("one has logged out: {told:?}")
        };
        assert_eq!(kick.player_id, guest.player.id.to_string());
        assert_eq!(kick.match_id, session.match_id.to_string());
    }
    let one = [report(&session, "running", &[(0, &host)])];
    assert_eq!(world.heartbeat(&one).await.kick_players, []);
    assert_eq!(world.session_now(&session, &host).await.players, 1);
}

#[tokio::test]
async fn a_seat_that_was_joined_anew_with_another_login_outlasts_the_first() {
    let world = World::new().await;
    let (session, host, guest) = two_who_play(&world).await;
    let device = guest.device.clone().unwrap();
    let body = json!({"device_id": device.id, "device_secret": device.secret});
    let call = world.call(Method::POST, "auth/guest").from("192.0.2.77");
    let elsewhere: LoginResponse = call.json(&body).send().await.expect(200);
    world.join(&session, &elsewhere).await;
    log_out(&world, &guest).await;
    let both = [report(&session, "running", &[(0, &host), (1, &guest)])];
    assert_eq!(world.heartbeat(&both).await.kick_players, []);
    log_out(&world, &elsewhere).await;
    assert_eq!(world.heartbeat(&both).await.kick_players.len(), 1);
}

async fn log_out(world: &World, who: &LoginResponse) {
    let call = world.call(Method::POST, "auth/logout").from("192.0.2.78");
    let body = json!({"refresh_token": who.refresh_token});
    assert_eq!(call.json(&body).send().await.status, 204);
}
