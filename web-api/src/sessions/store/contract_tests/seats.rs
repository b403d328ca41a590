//! Seats: held, given once, free again when the hold ends.

use gameserver_contract::ids::{PlayerId, Seat, SessionId};
use gameserver_contract::session::{Role, SessionState};

use crate::sessions::store::seats::{Reservation, SeatRequest};
use crate::tests::subject::{Subject, at, new_session, player_id, session_id};

crate::tests::for_each_database! {
    a_seat_is_never_given_twice
    a_seat_that_is_held_in_one_statement_is_never_given_twice
    one_statement_holds_a_seat_at_the_version_that_was_read_and_no_other
    the_lowest_free_seat_is_given
    a_player_who_asks_again_keeps_their_seat_and_holds_it_anew
    many_requests_of_one_player_hold_one_seat
    an_expired_hold_counts_as_free_everywhere
    a_spectator_takes_no_seat
    nobody_joins_a_session_that_is_not_joinable
    a_seat_given_back_can_be_given_again
    a_session_without_seats_is_always_full
    every_change_of_a_seat_counts_the_version_up
}

fn held(seat: u16) -> Reservation {
    Reservation::Held(Some(Seat(seat)))
}

/// All of them ask for a seat at once, half of them through another replica.
async fn ask_at_once(
    subject: &Subject,
    session: SessionId,
    players: Vec<PlayerId>,
) -> Vec<Reservation> {
    let replica = subject.replica().await;
    let mut requests = tokio::task::JoinSet::new();
    for (index, player) in players.into_iter().enumerate() {
        let store = if index % 2 == 0 {
            subject.store.clone()
        } else {
            replica.clone()
        };
        let (now, held_until) = (at(0), at(30));
        let request = SeatRequest {
            session,
            player,
            role: Role::Player,
            login: None,
            now,
            held_until,
        };
        requests.spawn(async move { store.sessions.reserve_seat(request).await.unwrap() });
    }
    requests.join_all().await
}

async fn a_seat_is_never_given_twice(subject: Subject) {
    let session = subject.session(16).await.session.id;
    let players = (0..64).map(|_| player_id()).collect();
    let outcomes = ask_at_once(&subject, session, players).await;
    let mut seats: Vec<u16> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Reservation::Held(seat) => seat.map(|seat| seat.0),
            Reservation::Full | Reservation::NotJoinable(_) | Reservation::NotFound => None,
        })
        .collect();
    seats.sort_unstable();
    assert_eq!(seats, (0..16).collect::<Vec<_>>());
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == Reservation::Full)
            .count(),
        48
    );
    assert_eq!(subject.read(session, 0).await.session.players, 16);
}

async fn a_seat_that_is_held_in_one_statement_is_never_given_twice(subject: Subject) {
    let session = subject.session(16).await.session.id;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let subject = subject.clone();
        requests.spawn(async move {
            let request = request_for(session, player_id(), 30);
            let version = subject.read(session, 0).await.version;
            let sessions = &subject.store.sessions;
            let quick = sessions.reserve_seat_at(version, &request).await.unwrap();
            match quick {
                Some(seat) => Reservation::Held(Some(seat)),
                None => sessions.reserve_seat(request).await.unwrap(),
            }
        });
    }
    let outcomes = requests.join_all().await;
    for seat in 0..16 {
        let given = outcomes.iter().filter(|outcome| **outcome == held(seat));
        assert_eq!(given.count(), 1, "seat {seat}");
    }
    assert_eq!(subject.read(session, 0).await.session.players, 16);
}

fn request_for(session: SessionId, player: PlayerId, until: i64) -> SeatRequest {
    SeatRequest {
        session,
        player,
        role: Role::Player,
        login: None,
        now: at(0),
        held_until: at(until),
    }
}

async fn one_statement_holds_a_seat_at_the_version_that_was_read_and_no_other(subject: Subject) {
    if !subject.store.db.is_remote() {
        return;
    }
    let session = subject.session(2).await.session.id;
    let sessions = &subject.store.sessions;
    let first = request_for(session, player_id(), 30);
    let version = subject.read(session, 0).await.version;
    let seat = sessions.reserve_seat_at(version, &first).await.unwrap();
    assert_eq!(seat, Some(Seat(0)));
    let now = subject.read(session, 0).await.version;
    assert_eq!(now, version + 1);
    // Another version, a player with a seat: nothing is held, and nothing counts.
    let second = request_for(session, player_id(), 5);
    for (version, request) in [(version, &second), (now, &first)] {
        let seat = sessions.reserve_seat_at(version, request).await.unwrap();
        assert_eq!(seat, None);
    }
    assert_eq!(subject.read(session, 0).await.version, now);
    let seat = sessions.reserve_seat_at(now, &second).await.unwrap();
    assert_eq!(seat, Some(Seat(1)));
    // All seats in use; then a hold that has ended, which the transaction clears away first.
    let third = request_for(session, player_id(), 30);
    for request in [
        third.clone(),
        SeatRequest {
            now: at(10),
            ..third
        },
    ] {
        let seat = sessions.reserve_seat_at(now + 1, &request).await.unwrap();
        assert_eq!(seat, None);
    }
    assert_eq!(subject.read(session, 0).await.version, now + 1);
}

async fn the_lowest_free_seat_is_given(subject: Subject) {
    let session = subject.session(4).await.session.id;
    let first = player_id();
    assert_eq!(subject.reserve(session, first, 0, 30).await, held(0));
    assert_eq!(subject.reserve(session, player_id(), 0, 30).await, held(1));
    assert_eq!(subject.reserve(session, player_id(), 0, 30).await, held(2));
    subject.release(session, first, 1).await;
    assert_eq!(subject.reserve(session, player_id(), 1, 30).await, held(0));
    assert_eq!(subject.reserve(session, player_id(), 1, 30).await, held(3));
    assert_eq!(
        subject.reserve(session, player_id(), 1, 30).await,
        Reservation::Full
    );
}

async fn a_player_who_asks_again_keeps_their_seat_and_holds_it_anew(subject: Subject) {
    let session = subject.session(2).await.session.id;
    let (ann, bob) = (player_id(), player_id());
    subject.reserve(session, ann, 0, 30).await;
    assert_eq!(subject.reserve(session, bob, 0, 30).await, held(1));
    assert_eq!(subject.reserve(session, bob, 20, 50).await, held(1));
    assert_eq!(subject.seat_of(session, bob, 49).await, Some(Seat(1)));
    assert_eq!(subject.seat_of(session, bob, 50).await, None);
}

async fn many_requests_of_one_player_hold_one_seat(subject: Subject) {
    let session = subject.session(16).await.session.id;
    let outcomes = ask_at_once(&subject, session, vec![player_id(); 32]).await;
    assert!(
        outcomes.iter().all(|outcome| *outcome == held(0)),
        "{outcomes:?}"
    );
    assert_eq!(subject.read(session, 0).await.session.players, 1);
}

async fn an_expired_hold_counts_as_free_everywhere(subject: Subject) {
    let session = subject.session(1).await.session.id;
    let (ann, bob) = (player_id(), player_id());
    subject.reserve(session, ann, 0, 30).await;
    assert_eq!(
        subject.reserve(session, bob, 29, 60).await,
        Reservation::Full
    );
    assert_eq!(subject.read(session, 29).await.session.players, 1);

    assert_eq!(subject.read(session, 30).await.session.players, 0);
    assert_eq!(subject.seat_of(session, ann, 30).await, None);
    assert!(!subject.release(session, ann, 30).await);
    assert_eq!(subject.reserve(session, bob, 30, 60).await, held(0));
    assert_eq!(
        subject.reserve(session, ann, 31, 60).await,
        Reservation::Full
    );
}

async fn a_spectator_takes_no_seat(subject: Subject) {
    let session = subject.session(1).await.session.id;
    subject.reserve(session, player_id(), 0, 30).await;
    let (player, role, now, held_until) = (player_id(), Role::Spectator, at(0), at(30));
    let request = SeatRequest {
        session,
        player,
        role,
        login: None,
        now,
        held_until,
    };
    let outcome = subject.store.sessions.reserve_seat(request).await.unwrap();
    assert_eq!(outcome, Reservation::Held(None));
    assert_eq!(subject.seat_of(session, player, 0).await, None);
}

async fn nobody_joins_a_session_that_is_not_joinable(subject: Subject) {
    let created = subject.opened(new_session()).await.session.id;
    let refused = Reservation::NotJoinable(SessionState::Created);
    assert_eq!(subject.reserve(created, player_id(), 0, 30).await, refused);
    assert_eq!(
        subject.reserve(session_id(), player_id(), 0, 30).await,
        Reservation::NotFound
    );
}

async fn a_seat_given_back_can_be_given_again(subject: Subject) {
    let session = subject.session(1).await.session.id;
    let (ann, bob) = (player_id(), player_id());
    subject.reserve(session, ann, 0, 30).await;
    assert!(!subject.release(session, bob, 1).await);
    assert!(subject.release(session, ann, 1).await);
    assert!(!subject.release(session, ann, 1).await);
    assert!(!subject.release(session_id(), ann, 1).await);
    assert_eq!(subject.reserve(session, bob, 1, 30).await, held(0));
}

async fn a_session_without_seats_is_always_full(subject: Subject) {
    let session = subject.session(0).await.session.id;
    assert_eq!(
        subject.reserve(session, player_id(), 0, 30).await,
        Reservation::Full
    );
}

async fn every_change_of_a_seat_counts_the_version_up(subject: Subject) {
    let session = subject.session(1).await;
    let (id, ann) = (session.session.id, player_id());
    subject.reserve(id, ann, 1, 30).await;
    let held = subject.read(id, 1).await;
    assert_eq!(
        (held.version, held.session.updated_at),
        (session.version + 1, at(1))
    );
    assert_eq!(
        subject.reserve(id, player_id(), 2, 30).await,
        Reservation::Full
    );
    assert_eq!(subject.read(id, 2).await, held);
    subject.release(id, ann, 3).await;
    assert_eq!(subject.read(id, 3).await.version, held.version + 1);
    subject.reserve(id, ann, 4, 30).await;
    let swept = subject.store.sweep(at(30)).await.unwrap();
    assert_eq!((swept.rows, swept.sessions), (1, vec![id]));
    assert_eq!(subject.read(id, 30).await.version, held.version + 3);
}
