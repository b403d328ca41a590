//! Keys and what they stand for, and the sweep of what has expired.

use gameserver_contract::ids::{PlayerId, Seat, SessionId};
use gameserver_contract::session::Role;

use crate::accounts::store::logins::NewRefreshToken;
use crate::kit::db::idempotency::{IdempotencyKey, RecordedResponse};
use crate::sessions::store::seats::{KeyedReservation, Reservation, SeatRequest};
use crate::tests::subject::{Stores, Subject, at, key, player_id, session_id};

crate::tests::for_each_database! {
    the_first_answer_of_a_key_is_kept
    an_expired_answer_makes_room_for_a_new_one
    of_many_requests_with_one_key_one_gets_a_seat
    a_refused_request_leaves_its_key_free
    a_sweep_deletes_what_has_expired_and_nothing_else
}

fn answer(number: u8) -> RecordedResponse {
    RecordedResponse {
        status: 200,
        body: vec![0, number, 255],
        location: (number == 1).then(|| "/api/v1/sessions/1".to_owned()),
    }
}

/// The key of a request of second `now`, remembered until second `end`.
fn claimed(player: PlayerId, name: &str, now: i64, end: i64) -> IdempotencyKey {
    IdempotencyKey {
        player,
        key: name.to_owned(),
        request_hash: key(3),
        now: at(now),
        expires_at: at(end),
    }
}

/// Asks for a seat, and would be answered with this number.
async fn join(
    store: &Stores,
    session: SessionId,
    key: IdempotencyKey,
    number: u8,
) -> KeyedReservation {
    let request = SeatRequest {
        session,
        player: key.player,
        role: Role::Player,
        login: None,
        now: key.now,
        held_until: key.expires_at,
    };
    let write = Box::new(move |_: Option<Seat>| answer(number));
    store
        .sessions
        .reserve_seat_once(request, key, write)
        .await
        .unwrap()
}

async fn remembered(store: &Stores, player: PlayerId, key: &str, now: i64) -> Option<u8> {
    let record = store
        .idempotency_record(player, key, at(now))
        .await
        .unwrap();
    record.map(|record| record.answer.body[1])
}

async fn the_first_answer_of_a_key_is_kept(subject: Subject) {
    let (ann, store) = (player_id(), &subject.store);
    let session = subject.session(4).await.session.id;
    assert_eq!(remembered(store, ann, "key", 0).await, None);
    let first = join(store, session, claimed(ann, "key", 0, 60), 1).await;
    assert!(matches!(first, KeyedReservation::Held(given) if given == answer(1)));
    let again = join(store, session, claimed(ann, "key", 1, 90), 2).await;
    let KeyedReservation::Known(record) = again else {
        panic!("done twice: {again:?}")
    };
    assert_eq!((record.answer, record.opening), (answer(1), None));
    assert_eq!(record.request_hash, key(3));
    assert_eq!(remembered(store, ann, "key", 59).await, Some(1));
    assert_eq!(remembered(store, ann, "KEY", 0).await, None);
    assert_eq!(remembered(store, player_id(), "key", 0).await, None);
}

async fn an_expired_answer_makes_room_for_a_new_one(subject: Subject) {
    let (ann, store) = (player_id(), &subject.store);
    let session = subject.session(4).await.session.id;
    join(store, session, claimed(ann, "key", 0, 60), 1).await;
    assert_eq!(remembered(store, ann, "key", 60).await, None);
    let later = join(store, session, claimed(ann, "key", 60, 120), 2).await;
    assert!(matches!(later, KeyedReservation::Held(_)));
    assert_eq!(remembered(store, ann, "key", 61).await, Some(2));
}

async fn of_many_requests_with_one_key_one_gets_a_seat(subject: Subject) {
    let ann = player_id();
    let session = subject.session(8).await.session.id;
    let replicas = [subject.store.clone(), subject.replica().await];
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..8_u8 {
        let store = replicas[usize::from(number % 2)].clone();
        let key = claimed(ann, "key", 0, 60);
        requests.spawn(async move { join(&store, session, key, number).await });
    }
    let outcomes = requests.join_all().await;
    let held = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, KeyedReservation::Held(_)));
    assert_eq!(held.count(), 1, "{outcomes:?}");
    assert_eq!(subject.read(session, 0).await.session.players, 1);
}

async fn a_refused_request_leaves_its_key_free(subject: Subject) {
    let (ann, store) = (player_id(), &subject.store);
    let nowhere = join(store, session_id(), claimed(ann, "key", 0, 60), 1).await;
    assert!(matches!(
        nowhere,
        KeyedReservation::Refused(Reservation::NotFound)
    ));
    assert_eq!(remembered(store, ann, "key", 0).await, None);
}

async fn a_sweep_deletes_what_has_expired_and_nothing_else(subject: Subject) {
    let store = &subject.store;
    let (ann, session) = (subject.player().await, subject.session(4).await.session.id);
    for (number, end) in [(1, 10), (2, 20)] {
        let token = NewRefreshToken {
            hash: key(number),
            family: uuid::Uuid::from_u128(number.into()),
            player: ann,
            issued_at: at(0),
            expires_at: at(end),
        };
        store.accounts.insert_refresh_token(token).await.unwrap();
        join(store, session, claimed(player_id(), "key", 0, end), number).await;
    }
    assert_eq!(store.sweep(at(9)).await.unwrap().rows, 0);
    assert_eq!(store.sweep(at(10)).await.unwrap().rows, 3);
    assert_eq!(subject.read(session, 10).await.session.players, 1);
    assert_eq!(store.sweep(at(20)).await.unwrap().rows, 3);
    assert_eq!(store.sweep(at(20)).await.unwrap().rows, 0);
}
