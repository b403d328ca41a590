//! What instances report about their matches, and sessions whose instance is gone.

use gameserver_contract::ids::{InstanceEpoch, MatchId, PlayerId, Seat};
use gameserver_contract::session::SessionState;

use crate::fleet::report::MatchReport;
use crate::sessions::store::records::{NewSession, SessionRow};
use crate::sessions::store::reports::Applied;
use crate::sessions::store::seats::Reservation;
use crate::tests::subject::{Subject, at, instance_id, match_id, new_session, player_id};

crate::tests::for_each_database! {
    a_reported_seat_is_taken_and_outlasts_its_hold
    a_taken_seat_is_free_when_it_is_no_longer_reported
    a_taken_seat_that_is_asked_for_again_stays_until_the_new_hold_ends
    a_report_decides_who_sits_where
    a_report_that_names_a_player_or_a_seat_twice_is_taken_by_its_first_word
    an_unchanged_report_changes_nothing
    a_report_moves_a_session_along_allowed_edges_only
    a_report_of_the_end_frees_all_seats
    a_match_that_this_run_does_not_have_is_returned
    hundreds_of_matches_are_reported_at_once
    reports_next_to_reservations_lose_none
    a_lost_run_fails_its_sessions_and_no_others
}

fn report(session: &SessionRow, seats: &[(u16, PlayerId)]) -> MatchReport {
    MatchReport {
        match_id: session.session.match_id,
        state: session.session.state,
        seats: seats
            .iter()
            .map(|(seat, player)| (Seat(*seat), *player))
            .collect(),
        spectators: 0,
    }
}

async fn apply(subject: &Subject, session: &SessionRow, second: i64, report: MatchReport) {
    let (instance, epoch) = (session.instance, session.epoch);
    let applied = subject
        .store
        .sessions
        .apply_reports(instance, epoch, &[report], at(second))
        .await;
    assert_eq!(applied.unwrap().unwanted, []);
}

async fn seat(subject: &Subject, session: &SessionRow, who: PlayerId, second: i64) -> Option<u16> {
    let seat = subject.seat_of(session.session.id, who, second).await;
    seat.map(|seat| seat.0)
}

async fn a_reported_seat_is_taken_and_outlasts_its_hold(subject: Subject) {
    let session = subject.session(4).await;
    let (ann, bob) = (player_id(), player_id());
    subject.reserve(session.session.id, ann, 0, 30).await;
    subject.reserve(session.session.id, bob, 0, 30).await;
    apply(&subject, &session, 10, report(&session, &[(0, ann)])).await;
    assert_eq!(seat(&subject, &session, bob, 29).await, Some(1));
    assert_eq!(seat(&subject, &session, ann, 1_000).await, Some(0));
    assert_eq!(seat(&subject, &session, bob, 1_000).await, None);
    assert_eq!(
        subject
            .read(session.session.id, 1_000)
            .await
            .session
            .players,
        1
    );
    assert_eq!(subject.store.sweep(at(1_000)).await.unwrap().rows, 1);
    assert_eq!(seat(&subject, &session, ann, 1_000).await, Some(0));
}

async fn a_taken_seat_is_free_when_it_is_no_longer_reported(subject: Subject) {
    let session = subject.session(4).await;
    let (ann, bob) = (player_id(), player_id());
    apply(
        &subject,
        &session,
        1,
        report(&session, &[(0, ann), (3, bob)]),
    )
    .await;
    apply(&subject, &session, 2, report(&session, &[(3, bob)])).await;
    assert_eq!(seat(&subject, &session, ann, 2).await, None);
    assert_eq!(seat(&subject, &session, bob, 2).await, Some(3));
}

async fn a_taken_seat_that_is_asked_for_again_stays_until_the_new_hold_ends(subject: Subject) {
    let session = subject.session(4).await;
    let ann = player_id();
    apply(&subject, &session, 1, report(&session, &[(2, ann)])).await;
    let again = subject.reserve(session.session.id, ann, 10, 40).await;
    assert_eq!(again, Reservation::Held(Some(Seat(2))));
    apply(&subject, &session, 11, report(&session, &[])).await;
    assert_eq!(seat(&subject, &session, ann, 39).await, Some(2));
    assert_eq!(seat(&subject, &session, ann, 40).await, None);
}

async fn a_report_decides_who_sits_where(subject: Subject) {
    let session = subject.session(4).await;
    let (ann, bob, eve) = (player_id(), player_id(), player_id());
    subject.reserve(session.session.id, ann, 0, 30).await;
    subject.reserve(session.session.id, bob, 0, 30).await;
    subject.reserve(session.session.id, eve, 0, 30).await;
    apply(
        &subject,
        &session,
        1,
        report(&session, &[(0, bob), (1, ann), (2, player_id())]),
    )
    .await;
    assert_eq!(seat(&subject, &session, bob, 1).await, Some(0));
    assert_eq!(seat(&subject, &session, ann, 1).await, Some(1));
    assert_eq!(seat(&subject, &session, eve, 1).await, None);
    assert_eq!(subject.read(session.session.id, 1).await.session.players, 3);
}

async fn a_report_that_names_a_player_or_a_seat_twice_is_taken_by_its_first_word(subject: Subject) {
    let session = subject.session(4).await;
    let (ann, bob) = (player_id(), player_id());
    apply(
        &subject,
        &session,
        1,
        report(&session, &[(0, ann), (1, ann), (0, bob)]),
    )
    .await;
    assert_eq!(seat(&subject, &session, ann, 1).await, Some(0));
    assert_eq!(seat(&subject, &session, bob, 1).await, None);
}

async fn an_unchanged_report_changes_nothing(subject: Subject) {
    let session = subject.session(4).await;
    let same = || report(&session, &[(0, player_id_of(1)), (1, player_id_of(2))]);
    apply(&subject, &session, 1, same()).await;
    let before = subject.read(session.session.id, 1).await;
    apply(&subject, &session, 2, same()).await;
    assert_eq!(subject.read(session.session.id, 2).await, before);
    apply(
        &subject,
        &session,
        3,
        MatchReport {
            spectators: 1,
            ..same()
        },
    )
    .await;
    let after = subject.read(session.session.id, 3).await;
    assert_eq!(
        (after.session.spectators, after.version),
        (1, before.version + 1)
    );
    assert_eq!(after.session.updated_at, at(3));
}

fn player_id_of(number: u128) -> PlayerId {
    PlayerId(uuid::Uuid::from_u128(number))
}

async fn a_report_moves_a_session_along_allowed_edges_only(subject: Subject) {
    let session = subject.session(4).await;
    let to = |state| MatchReport {
        state,
        ..report(&session, &[])
    };
    apply(&subject, &session, 1, to(SessionState::Running)).await;
    apply(&subject, &session, 2, to(SessionState::Filling)).await;
    let row = subject.read(session.session.id, 2).await;
    assert_eq!(
        (row.session.state, row.session.updated_at),
        (SessionState::Running, at(1))
    );
}

async fn a_report_of_the_end_frees_all_seats(subject: Subject) {
    let session = subject.session(4).await;
    let ann = player_id();
    apply(&subject, &session, 1, report(&session, &[(0, ann)])).await;
    subject
        .reserve(session.session.id, player_id(), 1, 30)
        .await;
    let failed = MatchReport {
        state: SessionState::Failed,
        ..report(&session, &[(0, ann)])
    };
    apply(&subject, &session, 2, failed).await;
    let row = subject.read(session.session.id, 2).await;
    assert_eq!(
        (row.session.state, row.session.players),
        (SessionState::Failed, 0)
    );
}

async fn a_match_that_this_run_does_not_have_is_returned(subject: Subject) {
    let session = subject.session(4).await;
    let stranger = match_id();
    let reports = [
        report(&session, &[(0, player_id())]),
        MatchReport {
            match_id: stranger,
            ..report(&session, &[])
        },
    ];
    let apply = async |instance, epoch| {
        subject
            .store
            .sessions
            .apply_reports(instance, epoch, &reports, at(1))
            .await
            .unwrap()
            .unwanted
    };
    assert_eq!(apply(session.instance, session.epoch).await, [stranger]);
    let other_run = InstanceEpoch(session.epoch.0 - 1);
    let mut both: Vec<MatchId> = reports.iter().map(|report| report.match_id).collect();
    both.sort_unstable();
    assert_eq!(apply(session.instance, other_run).await, both);
    assert_eq!(apply(instance_id(), session.epoch).await, both);
    let none = subject
        .store
        .sessions
        .apply_reports(session.instance, session.epoch, &[], at(1))
        .await;
    assert_eq!(none.unwrap(), Applied::default());
}

async fn hundreds_of_matches_are_reported_at_once(subject: Subject) {
    let instance = instance_id();
    let mut sessions = Vec::new();
    for _ in 0..300 {
        let new = NewSession {
            instance,
            ..new_session()
        };
        sessions.push(subject.opened(new).await);
    }
    let reports: Vec<MatchReport> = sessions
        .iter()
        .map(|session| MatchReport {
            state: SessionState::Filling,
            ..report(
                session,
                &[(0, player_id()), (1, player_id()), (2, player_id())],
            )
        })
        .collect();
    let epoch = sessions[0].epoch;
    let applied = subject
        .store
        .sessions
        .apply_reports(instance, epoch, &reports, at(1))
        .await
        .unwrap();
    assert_eq!((applied.unwanted.len(), applied.changed.len()), (0, 300));
    let again = subject
        .store
        .sessions
        .apply_reports(instance, epoch, &reports, at(1))
        .await
        .unwrap();
    assert_eq!(again, Applied::default());
    for session in [&sessions[0], &sessions[150], &sessions[299]] {
        let row = subject.read(session.session.id, 1_000).await.session;
        assert_eq!((row.state, row.players), (SessionState::Filling, 3));
    }
    let none: Vec<MatchReport> = reports
        .iter()
        .map(|report| MatchReport {
            seats: vec![],
            ..report.clone()
        })
        .collect();
    subject
        .store
        .sessions
        .apply_reports(instance, epoch, &none, at(2))
        .await
        .unwrap();
    assert_eq!(
        subject
            .read(sessions[299].session.id, 2)
            .await
            .session
            .players,
        0
    );
    let store = &subject.store.sessions;
    let failed = store.fail_sessions_of(instance, None, at(3)).await;
    assert_eq!(failed.unwrap().len(), 300);
}

async fn reports_next_to_reservations_lose_none(subject: Subject) {
    let session = subject.session(32).await;
    let here = player_id();
    let reporter = tokio::spawn({
        let (subject, session) = (subject.clone(), session.clone());
        async move {
            for round in 0..20_u32 {
                let seats = report(&session, &[(31, here)]);
                apply(
                    &subject,
                    &session,
                    1,
                    MatchReport {
                        spectators: round,
                        ..seats
                    },
                )
                .await;
                subject.store.sweep(at(1)).await.unwrap();
            }
        }
    });
    for _ in 0..31 {
        let outcome = subject
            .reserve(session.session.id, player_id(), 0, 30)
            .await;
        assert!(matches!(outcome, Reservation::Held(Some(_))), "{outcome:?}");
    }
    reporter.await.unwrap();
    assert_eq!(
        subject.read(session.session.id, 1).await.session.players,
        32
    );
}

async fn a_lost_run_fails_its_sessions_and_no_others(subject: Subject) {
    let (instance, present) = (instance_id(), InstanceEpoch(2));
    let new = |epoch| NewSession {
        instance,
        epoch,
        ..new_session()
    };
    let old = subject.joinable(new(InstanceEpoch(1))).await.session.id;
    let current = subject.joinable(new(present)).await;
    let other = subject.session(4).await;
    subject.reserve(old, player_id(), 0, 30).await;

    let store = &subject.store;
    assert_eq!(
        store
            .sessions
            .fail_sessions_of(instance, Some(present), at(1))
            .await
            .unwrap(),
        [old]
    );
    let failed = subject.read(old, 1).await.session;
    assert_eq!((failed.state, failed.players), (SessionState::Failed, 0));
    assert_eq!(subject.read(current.session.id, 1).await, current);

    let mut live = store.sessions.instances_with_live_sessions().await.unwrap();
    live.sort_by_key(|(instance, _)| *instance);
    let mut expected = [(instance, present), (other.instance, other.epoch)];
    expected.sort_by_key(|(instance, _)| *instance);
    assert_eq!(live, expected);
    assert_eq!(
        store
            .sessions
            .fail_sessions_of(instance, None, at(1))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        store
            .sessions
            .fail_sessions_of(instance, None, at(1))
            .await
            .unwrap(),
        []
    );
}
