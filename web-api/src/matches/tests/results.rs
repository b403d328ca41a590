//! Results of matches: accepted once, from their own instance only, and visible to players.

use std::collections::BTreeMap;

use gameserver_contract::account::{LoginResponse, MatchRecord};
use gameserver_contract::ids::Seat;
use gameserver_contract::result::{MatchOutcome, MatchResult, PlayerResult};
use gameserver_contract::session::{Page, Session, SessionState};
use gameserver_control::{ResultReport, result_signature};
use serde_json::json;

use crate::matches::results::ResultError;
use crate::tests::world::{START_MS, World, report};

fn result(session: &Session, player: &LoginResponse) -> MatchResult {
    MatchResult {
        match_id: session.match_id,
        session: session.id,
        game: session.game.clone(),
        mode: session.mode.clone(),
        outcome: MatchOutcome::Finished,
        ticks: 3_600,
        started_at_ms: START_MS,
        ended_at_ms: START_MS + 60_000,
        players: vec![PlayerResult {
            player: player.player.id,
            seat: Seat(0),
            placement: 1,
            score: 7,
            stats: BTreeMap::from([("kills".to_owned(), 3)]),
            stayed: true,
        }],
    }
}

/// Signs a result with the key that the instance was given for its match.
fn signed(world: &World, result: &MatchResult) -> ResultReport {
    let key = world.instance.started().result_key.try_into().unwrap();
    let bytes = rmp_serde::to_vec(result).unwrap();
    ResultReport {
        match_id: result.match_id.to_string(),
        signature: result_signature::sign(&key, &bytes).to_vec(),
        result: bytes,
    }
}

async fn played(world: &World) -> (LoginResponse, Session) {
    let host = world.guest().await;
    let session = world.session(&host).await;
    world.join(&session, &host).await;
    world
        .heartbeat(&[report(&session, "running", &[(0, &host)])])
        .await;
    (host, session)
}

#[tokio::test]
async fn a_result_is_stored_once_and_shows_in_totals_and_history() {
    let world = World::new().await;
    let (host, session) = played(&world).await;
    let report = signed(&world, &result(&session, &host));
    assert!(
        world
            .services
            .matches
            .report_result(report.clone())
            .await
            .unwrap()
            .stored
    );
    assert!(
        !world
            .services
            .matches
            .report_result(report)
            .await
            .unwrap()
            .stored
    );
    let path = format!("players/{}", host.player.id);
    let stats = world.get(&format!("{path}/stats"), &host).await.json();
    let totals =
        json!({"game": "arena", "matches": 1, "wins": 1, "score": "7", "totals": {"kills": "3"}});
    assert_eq!(stats, json!({ "items": [totals] }));
    let matches = world.get(&format!("{path}/matches"), &host).await;
    let page: Page<MatchRecord> = matches.expect(200);
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].match_id, session.match_id);
    assert_eq!(page.items[0].result.score, 7);
    assert_eq!(
        world.session_now(&session, &host).await.state,
        SessionState::Ended
    );
}

#[tokio::test]
async fn a_result_with_a_wrong_signature_is_refused() {
    let world = World::new().await;
    let (host, session) = played(&world).await;
    let mut report = signed(&world, &result(&session, &host));
    report.signature[0] ^= 1;
    let refused = world.services.matches.report_result(report).await;
    assert!(
        matches!(refused, Err(ResultError::BadSignature)),
        "{refused:?}"
    );
    assert_eq!(
        world.session_now(&session, &host).await.state,
        SessionState::Running
    );
}

#[tokio::test]
async fn a_result_of_an_unknown_match_is_refused() {
    let world = World::new().await;
    let (host, session) = played(&world).await;
    let mut report = signed(&world, &result(&session, &host));
    report.match_id = uuid::Uuid::from_u128(5).to_string();
    let refused = world.services.matches.report_result(report).await;
    assert!(
        matches!(refused, Err(ResultError::UnknownMatch)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_well_signed_result_that_cannot_be_true_is_refused() {
    let world = World::new().await;
    let (host, session) = played(&world).await;
    let good = result(&session, &host);
    let mut wrong_session = good.clone();
    wrong_session.session.0 = uuid::Uuid::from_u128(1);
    let mut backwards = good.clone();
    backwards.ended_at_ms = backwards.started_at_ms - 1;
    let mut no_such_seat = good.clone();
    no_such_seat.players[0].seat = Seat(4);
    let mut twice = good.clone();
    twice.players.push(twice.players[0].clone());
    let mut chatty = good.clone();
    chatty.players[0].stats = (0..33).map(|number| (number.to_string(), 1)).collect();
    for bad in [wrong_session, backwards, no_such_seat, twice, chatty] {
        let refused = world
            .services
            .matches
            .report_result(signed(&world, &bad))
            .await;
        assert!(
            matches!(refused, Err(ResultError::Implausible(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_result_are_refused_even_when_signed() {
    let world = World::new().await;
    let (host, session) = played(&world).await;
    let good = signed(&world, &result(&session, &host));
    let key = world.instance.started().result_key.try_into().unwrap();
    for bytes in [Vec::new(), vec![0xc1], vec![0xdd, 0xff, 0xff, 0xff, 0xff]] {
        let signature = result_signature::sign(&key, &bytes).to_vec();
        let report = ResultReport {
            result: bytes,
            signature,
            ..good.clone()
        };
        let refused = world.services.matches.report_result(report).await;
        assert!(
            matches!(refused, Err(ResultError::Malformed)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn an_aborted_match_enters_the_history_but_not_the_totals() {
    let world = World::new().await;
    let (host, session) = played(&world).await;
    let aborted = MatchResult {
        outcome: MatchOutcome::Aborted,
        ..result(&session, &host)
    };
    assert!(
        world
            .services
            .matches
            .report_result(signed(&world, &aborted))
            .await
            .unwrap()
            .stored
    );
    let path = format!("players/{}", host.player.id);
    let stats = world.get(&format!("{path}/stats"), &host).await.json();
    assert_eq!(stats, json!({ "items": [] }));
    let page: Page<MatchRecord> = world
        .get(&format!("{path}/matches"), &host)
        .await
        .expect(200);
    assert_eq!(page.items[0].outcome, MatchOutcome::Aborted);
}
