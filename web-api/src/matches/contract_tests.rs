//! Results: stored once, in the history and in the totals.

use std::collections::BTreeMap;

use gameserver_contract::account::GameStats;
use gameserver_contract::ids::{PlayerId, Seat};
use gameserver_contract::result::{MatchOutcome, MatchResult, PlayerResult};
use gameserver_contract::session::SessionState;

use crate::kit::cursor::After;
use crate::matches::store::ResultOutcome;
use crate::sessions::store::records::SessionRow;
use crate::tests::subject::{Subject, at, match_id, player_id};

crate::tests::for_each_database! {
    a_result_is_stored_once_however_often_it_comes
    a_result_ends_its_session_and_enters_the_history
    totals_add_up_over_matches
    an_aborted_match_enters_the_history_but_not_the_totals
    the_result_of_an_unknown_match_is_not_stored
    a_late_result_of_a_failed_session_counts_but_revives_nothing
    totals_stop_at_the_largest_number_instead_of_failing
    a_history_goes_back_page_by_page
    a_player_named_twice_has_one_line
    a_thousand_players_fit_one_result
    results_that_share_players_lose_no_point
}

fn line(player: PlayerId, placement: u16, score: i64, kills: i64) -> PlayerResult {
    PlayerResult {
        player,
        seat: Seat(placement),
        placement,
        score,
        stats: BTreeMap::from([("kills".to_owned(), kills), ("deaths".to_owned(), 1)]),
        stayed: placement == 1,
    }
}

fn result(session: &SessionRow, players: Vec<PlayerResult>) -> MatchResult {
    MatchResult {
        match_id: session.session.match_id,
        session: session.session.id,
        game: session.session.game.clone(),
        mode: session.session.mode.clone(),
        outcome: MatchOutcome::Finished,
        ticks: 3_600,
        started_at_ms: at(10).timestamp_millis(),
        ended_at_ms: at(70).timestamp_millis(),
        players,
    }
}

async fn store(subject: &Subject, result: &MatchResult) -> ResultOutcome {
    subject
        .store
        .matches
        .store_result(result, at(71))
        .await
        .unwrap()
}

async fn only_stats(subject: &Subject, player: PlayerId) -> GameStats {
    let mut stats = subject.store.matches.player_stats(player).await.unwrap();
    assert_eq!(stats.len(), 1);
    stats.remove(0)
}

async fn a_result_is_stored_once_however_often_it_comes(subject: Subject) {
    let ann = player_id();
    let result = result(&subject.session(4).await, vec![line(ann, 1, 30, 3)]);
    let replica = subject.replica().await;
    let mut deliveries = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = if number % 2 == 0 {
            subject.store.clone()
        } else {
            replica.clone()
        };
        let result = result.clone();
        deliveries.spawn(async move { store.matches.store_result(&result, at(71)).await.unwrap() });
    }
    let outcomes = deliveries.join_all().await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|one| **one == ResultOutcome::Stored)
            .count(),
        1
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|one| **one == ResultOutcome::Duplicate)
            .count(),
        15
    );
    assert_eq!(only_stats(&subject, ann).await.matches, 1);
}

async fn a_result_ends_its_session_and_enters_the_history(subject: Subject) {
    let session = subject.session(4).await;
    let ann = player_id();
    subject.reserve(session.session.id, ann, 0, 1_000).await;
    let result = result(
        &session,
        vec![line(ann, 1, -30, 3), line(player_id(), 2, 5, 0)],
    );
    assert_eq!(store(&subject, &result).await, ResultOutcome::Stored);
    let row = subject.read(session.session.id, 71).await;
    assert_eq!(
        (row.session.state, row.session.players),
        (SessionState::Ended, 0)
    );
    assert_eq!(
        (row.session.updated_at, row.version),
        (at(71), session.version + 2)
    );

    let history = subject
        .store
        .matches
        .player_matches(ann, None, 10)
        .await
        .unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].match_id, session.session.match_id);
    assert_eq!(history[0].session_id, session.session.id);
    assert_eq!(
        (&history[0].game, &history[0].mode),
        (&result.game, &result.mode)
    );
    assert_eq!(
        (history[0].started_at, history[0].ended_at),
        (at(10), at(70))
    );
    assert_eq!(history[0].outcome, MatchOutcome::Finished);
    assert_eq!(history[0].result, result.players[0]);
}

async fn totals_add_up_over_matches(subject: Subject) {
    let (ann, bob) = (player_id(), player_id());
    let lines = [(1, 30, 3), (2, 12, 1)];
    for (placement, score, kills) in lines {
        let session = subject.session(4).await;
        let players = vec![
            line(ann, placement, score, kills),
            line(bob, 3 - placement, 1, 0),
        ];
        store(&subject, &result(&session, players)).await;
    }
    let stats = only_stats(&subject, ann).await;
    assert_eq!(
        (stats.game.as_str(), stats.matches, stats.wins, stats.score),
        ("arena", 2, 1, 42)
    );
    let totals = [("deaths", "2"), ("kills", "4")];
    assert_eq!(
        stats.totals,
        totals.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
    assert_eq!(
        subject
            .store
            .matches
            .player_stats(player_id())
            .await
            .unwrap(),
        []
    );
}

async fn an_aborted_match_enters_the_history_but_not_the_totals(subject: Subject) {
    let session = subject.session(4).await;
    let ann = player_id();
    let finished = result(&session, vec![line(ann, 1, 30, 3)]);
    store(
        &subject,
        &MatchResult {
            outcome: MatchOutcome::Aborted,
            ..finished
        },
    )
    .await;
    assert_eq!(subject.store.matches.player_stats(ann).await.unwrap(), []);
    let history = subject
        .store
        .matches
        .player_matches(ann, None, 10)
        .await
        .unwrap();
    assert_eq!(history[0].outcome, MatchOutcome::Aborted);
    assert_eq!(
        subject.read(session.session.id, 71).await.session.state,
        SessionState::Ended
    );
}

async fn the_result_of_an_unknown_match_is_not_stored(subject: Subject) {
    let ann = player_id();
    let result = result(&subject.session(4).await, vec![line(ann, 1, 30, 3)]);
    let unknown = MatchResult {
        match_id: match_id(),
        ..result
    };
    assert_eq!(store(&subject, &unknown).await, ResultOutcome::UnknownMatch);
    assert_eq!(
        subject
            .store
            .matches
            .player_matches(ann, None, 10)
            .await
            .unwrap(),
        []
    );
}

async fn a_late_result_of_a_failed_session_counts_but_revives_nothing(subject: Subject) {
    let session = subject.session(4).await;
    subject
        .walk(session.session.id, &[SessionState::Failed])
        .await;
    let failed = subject.read(session.session.id, 1).await;
    let ann = player_id();
    let outcome = store(&subject, &result(&session, vec![line(ann, 1, 30, 3)])).await;
    assert_eq!(outcome, ResultOutcome::Stored);
    assert_eq!(subject.read(session.session.id, 1).await, failed);
    assert_eq!(only_stats(&subject, ann).await.wins, 1);
}

async fn totals_stop_at_the_largest_number_instead_of_failing(subject: Subject) {
    let (ann, bob) = (player_id(), player_id());
    for score in [i64::MAX, 7] {
        let players = vec![line(ann, 1, score, score), line(bob, 2, -score, -score)];
        store(&subject, &result(&subject.session(4).await, players)).await;
    }
    let (best, worst) = (
        only_stats(&subject, ann).await,
        only_stats(&subject, bob).await,
    );
    assert_eq!((best.score, worst.score), (i64::MAX, -i64::MAX));
    assert_eq!(best.totals["kills"], i64::MAX.to_string());
    assert_eq!(worst.totals["kills"], (-i64::MAX).to_string());
}

async fn a_history_goes_back_page_by_page(subject: Subject) {
    let ann = player_id();
    let mut expected = Vec::new();
    for minute in [3, 1, 2, 2, 2] {
        let session = subject.session(4).await;
        let ended_at_ms = at(minute * 60).timestamp_millis();
        let match_result = result(&session, vec![line(ann, 1, 1, 1)]);
        store(
            &subject,
            &MatchResult {
                ended_at_ms,
                ..match_result
            },
        )
        .await;
        expected.push((at(minute * 60), session.session.match_id));
    }
    expected.sort_by(|a, b| b.cmp(a));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = subject
            .store
            .matches
            .player_matches(ann, after, 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(After {
            at: last.ended_at,
            id: last.match_id.0,
        });
        seen.extend(page.iter().map(|record| (record.ended_at, record.match_id)));
    }
    assert_eq!(seen, expected);
}

async fn a_player_named_twice_has_one_line(subject: Subject) {
    let ann = player_id();
    let players = vec![line(ann, 1, 30, 3), line(ann, 2, 5, 0)];
    let outcome = store(&subject, &result(&subject.session(4).await, players)).await;
    assert_eq!(outcome, ResultOutcome::Stored);
    assert_eq!(only_stats(&subject, ann).await.score, 30);
}

async fn a_thousand_players_fit_one_result(subject: Subject) {
    let players: Vec<PlayerResult> = (1..=1_000)
        .map(|placement| line(player_id(), placement, 1, 1))
        .collect();
    let last = players[999].player;
    store(&subject, &result(&subject.session(1_000).await, players)).await;
    assert_eq!(only_stats(&subject, last).await.totals["kills"], "1");
}

async fn results_that_share_players_lose_no_point(subject: Subject) {
    let players: Vec<PlayerId> = (0..8).map(|_| player_id()).collect();
    let mut deliveries = tokio::task::JoinSet::new();
    for round in 0..16 {
        let mut lines: Vec<_> = players
            .iter()
            .map(|player| line(*player, 1, 1, 1))
            .collect();
        lines.rotate_left(round % 8);
        let (result, subject) = (result(&subject.session(8).await, lines), subject.clone());
        deliveries.spawn(async move { store(&subject, &result).await });
    }
    let outcomes = deliveries.join_all().await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == ResultOutcome::Stored)
    );
    for player in players {
        let stats = only_stats(&subject, player).await;
        assert_eq!(
            (stats.matches, stats.score, stats.totals["kills"].as_str()),
            (16, 16, "16")
        );
    }
}
