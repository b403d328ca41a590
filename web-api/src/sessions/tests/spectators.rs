//! Joining to watch: what a session grants, what a spectator may ask for.

use gameserver_contract::account::LoginResponse;
use gameserver_contract::session::{JoinResponse, Session};
use gameserver_contract::spectator::{SpectatorClaim, SpectatorView, SpectatorsPolicy};
use serde_json::{Value, json};

use crate::tests::world::World;

async fn session_granting(world: &World, host: &LoginResponse, spectators: Value) -> Session {
    let body = json!({"game": "arena", "spectators": spectators});
    world.post("sessions", host, body).await.expect(201)
}

/// What the ticket of a granted join lets its bearer see.
async fn watch(
    world: &World,
    session: &Session,
    who: &LoginResponse,
    request: Value,
) -> SpectatorClaim {
    let answer: JoinResponse = world.try_join(session, who, request).await.expect(200);
    let watch = world.read_ticket(&answer.ticket).watch.unwrap();
    assert_eq!(
        (answer.view, answer.team, answer.delay_s),
        (Some(watch.view), watch.team, Some(watch.delay_s))
    );
    watch
}

#[tokio::test]
async fn who_says_nothing_sees_everything_at_once() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    assert_eq!(session.spectators_policy, SpectatorsPolicy::default());
    let seen = watch(&world, &session, &host, json!({"role": "spectator"})).await;
    assert_eq!(seen, SpectatorClaim::default());
}

#[tokio::test]
async fn a_spectator_may_ask_for_less_and_for_later() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = session_granting(&world, &host, json!({"delay_s": 10})).await;
    let request = json!({"role": "spectator", "view": "team", "team": 3, "delay_s": 300});
    let seen = watch(&world, &session, &host, request).await;
    assert_eq!(
        (seen.view, seen.team, seen.delay_s),
        (SpectatorView::Team, Some(3), 300)
    );
}

#[tokio::test]
async fn a_delay_below_that_of_the_session_becomes_that_of_the_session() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = session_granting(&world, &host, json!({"delay_s": 30})).await;
    assert_eq!(session.spectators_policy.delay_s, 30);
    for request in [
        json!({"role": "spectator"}),
        json!({"role": "spectator", "delay_s": 5}),
    ] {
        assert_eq!(watch(&world, &session, &host, request).await.delay_s, 30);
    }
}

#[tokio::test]
async fn a_session_that_grants_one_team_shows_nobody_everything() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = session_granting(&world, &host, json!({"view": "team"})).await;
    for request in [
        json!({"role": "spectator"}),
        json!({"role": "spectator", "view": "all"}),
    ] {
        let answer = world.try_join(&session, &host, request).await;
        let problem = answer.refused(403, "session.view_not_allowed");
        assert_eq!(problem["details"]["view"], "team");
    }
    let request = json!({"role": "spectator", "view": "team", "team": 0});
    assert_eq!(
        watch(&world, &session, &host, request).await.view,
        SpectatorView::Team
    );
}

#[tokio::test]
async fn a_session_without_spectators_takes_players_only() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = session_granting(&world, &host, json!({"allowed": false})).await;
    let answer = world
        .try_join(&session, &host, json!({"role": "spectator"}))
        .await;
    answer.refused(403, "session.spectators_not_allowed");
    let playing = world.join(&session, &host).await;
    assert_eq!((playing.view, playing.delay_s), (None, None));
    assert_eq!(world.read_ticket(&playing.ticket).watch, None);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_with_their_field() {
    let world = World::new().await;
    let host = world.guest().await;
    let session = world.session(&host).await;
    for (request, pointer) in [
        (json!({"role": "spectator", "delay_s": 301}), "/delay_s"),
        (json!({"role": "spectator", "view": "team"}), "/team"),
        (json!({"role": "spectator", "team": 0}), "/team"),
        (
            json!({"role": "spectator", "view": "team", "team": 4}),
            "/team",
        ),
        (json!({"role": "spectator", "view": "walls"}), "/view"),
        (json!({"view": "all"}), "/view"),
        (json!({"team": 1}), "/team"),
        (json!({"delay_s": 1}), "/delay_s"),
    ] {
        let answer = world.try_join(&session, &host, request).await;
        let problem = answer.refused(422, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    let body = json!({"game": "arena", "spectators": {"delay_s": 301}});
    let problem = world.post("sessions", &host, body).await;
    let problem = problem.refused(422, "request.invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/spectators/delay_s");
}

#[tokio::test]
async fn the_instance_is_told_for_how_long_to_keep_what_spectators_see() {
    for (policy, delay_s) in [
        (json!({}), 0),
        (json!({"delay_s": 45}), 45),
        (json!({"allowed": false, "delay_s": 45}), 0),
    ] {
        let world = World::new().await;
        let host = world.guest().await;
        session_granting(&world, &host, policy).await;
        assert_eq!(world.instance.started().spectators_delay_s, delay_s);
    }
}
