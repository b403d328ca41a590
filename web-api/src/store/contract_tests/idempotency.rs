//! Remembered answers and the sweep of what has expired.

use crate::store::{NewRefreshToken, RememberedAnswer};

use super::subject::{Subject, at, key, player_id};

super::for_each_database! {
    the_first_answer_of_a_key_is_kept
    an_expired_answer_makes_room_for_a_new_one
    a_sweep_deletes_what_has_expired_and_nothing_else
}

fn answer(number: u8) -> RememberedAnswer {
    RememberedAnswer {
        request_hash: key(number),
        status: 201,
        body: vec![0, number, 255],
        location: (number == 1).then(|| "/api/v1/sessions/1".to_owned()),
    }
}

async fn the_first_answer_of_a_key_is_kept(subject: Subject) {
    let (ann, store) = (player_id(), &subject.store);
    assert_eq!(
        store.remembered_answer(ann, "key", at(0)).await.unwrap(),
        None
    );
    store
        .remember_answer(ann, "key", &answer(1), at(60))
        .await
        .unwrap();
    store
        .remember_answer(ann, "key", &answer(2), at(90))
        .await
        .unwrap();
    assert_eq!(
        store.remembered_answer(ann, "key", at(59)).await.unwrap(),
        Some(answer(1))
    );
    assert_eq!(
        store.remembered_answer(ann, "KEY", at(0)).await.unwrap(),
        None
    );
    assert_eq!(
        store
            .remembered_answer(player_id(), "key", at(0))
            .await
            .unwrap(),
        None
    );
}

async fn an_expired_answer_makes_room_for_a_new_one(subject: Subject) {
    let (ann, store) = (player_id(), &subject.store);
    store
        .remember_answer(ann, "key", &answer(1), at(60))
        .await
        .unwrap();
    assert_eq!(
        store.remembered_answer(ann, "key", at(60)).await.unwrap(),
        None
    );
    store
        .remember_answer(ann, "key", &answer(2), at(120))
        .await
        .unwrap();
    assert_eq!(
        store.remembered_answer(ann, "key", at(61)).await.unwrap(),
        Some(answer(2))
    );
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
        store.insert_refresh_token(token).await.unwrap();
        let name = format!("key {number}");
        store
            .remember_answer(ann, &name, &answer(number), at(end))
            .await
            .unwrap();
        subject.reserve(session, player_id(), 0, end).await;
    }
    assert_eq!(store.sweep(at(9)).await.unwrap().rows, 0);
    assert_eq!(store.sweep(at(10)).await.unwrap().rows, 3);
    assert_eq!(
        store.remembered_answer(ann, "key 2", at(10)).await.unwrap(),
        Some(answer(2))
    );
    assert_eq!(subject.read(session, 10).await.session.players, 1);
    assert_eq!(store.sweep(at(20)).await.unwrap().rows, 3);
    assert_eq!(store.sweep(at(20)).await.unwrap().rows, 0);
}
