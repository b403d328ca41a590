//! Leaving and ending sessions.

use gameserver_contract::account::LoginAnswer;
use gameserver_contract::session::{Session, SessionState};
use serde_json::json;

use super::instance::{Call, Mood};
use super::world::{Answer, World, report};

async fn leave(world: &World, session: &Session, who: &LoginAnswer) -> Answer {
    world
        .post(&format!("sessions/{}/leave", session.id), who, json!({}))
        .await
}

async fn end(world: &World, session: &Session, who: &LoginAnswer) -> Answer {
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
