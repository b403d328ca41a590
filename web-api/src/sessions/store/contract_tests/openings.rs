//! Sessions that are opened: once for a key, and with a start that nobody forgets.

use gameserver_contract::ids::PlayerId;
use gameserver_contract::session::SessionState;

use crate::kit::db::idempotency::{IdempotencyKey, RecordedResponse};
use crate::sessions::store::openings::{Opened, Opening, Started};
use crate::sessions::store::records::{NewSession, SessionRow};
use crate::tests::subject::{Stores, Subject, at, key, new_session, opening, player_id};

crate::tests::for_each_database! {
    of_many_requests_with_one_key_one_opens_a_session
    a_session_is_kept_with_its_start_and_its_key
    a_start_that_is_due_is_taken_by_one_replica
    a_start_ends_with_the_state_that_waits_for_it
    the_first_final_answer_of_an_opening_stays
    a_key_whose_opening_failed_opens_another_session
}

/// The state in the answer: what a request is told.
fn told(row: &SessionRow) -> RecordedResponse {
    RecordedResponse {
        status: 201,
        body: row.session.state.as_str().into(),
        location: Some(row.session.id.to_string()),
    }
}

fn claimed(player: PlayerId) -> IdempotencyKey {
    IdempotencyKey {
        player,
        key: "key".to_owned(),
        request_hash: key(3),
        now: at(0),
        expires_at: at(600),
    }
}

fn keyed(player: PlayerId) -> Opening {
    let session = NewSession {
        host: player,
        ..new_session()
    };
    Opening {
        key: Some((claimed(player), told)),
        ..opening(session)
    }
}

async fn open(store: &Stores, player: PlayerId) -> SessionRow {
    match store.sessions.open_session(keyed(player)).await.unwrap() {
        Opened::New(row) => *row,
        refused @ (Opened::Known(_) | Opened::PlayerLimit(_) | Opened::AddressLimit(_)) => {
            panic!("not opened: {refused:?}")
        }
    }
}

async fn finish(store: &Stores, row: &SessionRow, player: PlayerId) -> String {
    let key = Some(claimed(player));
    let finished = store
        .sessions
        .finish_opening(row.session.id, told, key, at(1))
        .await;
    match finished.unwrap() {
        Started::Answer(answer) => String::from_utf8(answer.body).unwrap(),
        Started::Failed => "no answer".to_owned(),
    }
}

async fn of_many_requests_with_one_key_one_opens_a_session(subject: Subject) {
    let ann = player_id();
    let replicas = [subject.store.clone(), subject.replica().await];
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = replicas[number % 2].clone();
        requests.spawn(async move { store.sessions.open_session(keyed(ann)).await.unwrap() });
    }
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for opened in requests.join_all().await {
        match opened {
            Opened::New(row) => new.push(row.session.id),
            Opened::Known(record) => known.push(record.opening.unwrap()),
            limited @ (Opened::PlayerLimit(_) | Opened::AddressLimit(_)) => {
                panic!("no limit is set: {limited:?}")
            }
        }
    }
    assert_eq!((new.len(), known.len()), (1, 7));
    assert!(known.iter().all(|id| *id == new[0]));
}

async fn a_session_is_kept_with_its_start_and_its_key(subject: Subject) {
    let (ann, store) = (player_id(), subject.replica().await);
    let row = open(&subject.store, ann).await;
    let id = row.session.id;
    let start = store
        .sessions
        .match_start(id, at(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((start.session, start.seed), (row, u64::MAX - 1));
    let record = store.idempotency_record(ann, "key", at(0)).await.unwrap();
    let record = record.unwrap();
    assert_eq!((record.opening, record.answer.status), (Some(id), 201));
}

async fn a_start_that_is_due_is_taken_by_one_replica(subject: Subject) {
    let id = subject.opened(new_session()).await.session.id;
    let take = async |now| {
        let starts = subject
            .store
            .sessions
            .take_due_starts(at(now), at(now + 3), 16)
            .await;
        let taken = starts.unwrap();
        let taken = taken
            .iter()
            .map(|start| (start.session.session.id, start.attempts));
        taken.collect::<Vec<_>>()
    };
    assert_eq!(take(2).await, []);
    assert_eq!(take(3).await, [(id, 1)]);
    assert_eq!(take(3).await, [], "it is being done");
    assert_eq!(take(6).await, [(id, 2)]);
    let mut replicas = tokio::task::JoinSet::new();
    for store in [subject.store.clone(), subject.replica().await] {
        replicas.spawn(async move {
            store
                .sessions
                .take_due_starts(at(9), at(12), 16)
                .await
                .unwrap()
        });
    }
    let taken: Vec<_> = replicas.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
}

async fn a_start_ends_with_the_state_that_waits_for_it(subject: Subject) {
    let store = &subject.store;
    for next in [
        SessionState::Filling,
        SessionState::Ending,
        SessionState::Failed,
    ] {
        let id = subject.opened(new_session()).await.session.id;
        subject.walk(id, &[next]).await;
        assert!(
            store
                .sessions
                .match_start(id, at(3))
                .await
                .unwrap()
                .is_none()
        );
        assert!(!store.sessions.give_up_start(id, at(3)).await.unwrap());
    }
    // Its instance was lost: that is written for all of its sessions at once.
    let row = subject.opened(new_session()).await;
    let lost = store
        .sessions
        .fail_sessions_of(row.instance, None, at(0))
        .await;
    assert_eq!(lost.unwrap(), [row.session.id]);
    assert_eq!(
        store
            .sessions
            .take_due_starts(at(3), at(6), 16)
            .await
            .unwrap()
            .len(),
        0
    );
}

async fn the_first_final_answer_of_an_opening_stays(subject: Subject) {
    let (ann, store) = (player_id(), &subject.store);
    let row = open(store, ann).await;
    assert_eq!(finish(store, &row, ann).await, "filling");
    subject.walk(row.session.id, &[SessionState::Running]).await;
    assert_eq!(finish(store, &row, ann).await, "filling");
    let record = store.idempotency_record(ann, "key", at(2)).await.unwrap();
    let record = record.unwrap();
    assert_eq!(
        (record.opening, record.answer.body),
        (None, b"filling".to_vec())
    );
}

async fn a_key_whose_opening_failed_opens_another_session(subject: Subject) {
    let (ann, store) = (player_id(), &subject.store);
    let first = open(store, ann).await;
    assert!(
        store
            .sessions
            .give_up_start(first.session.id, at(1))
            .await
            .unwrap()
    );
    assert_eq!(finish(store, &first, ann).await, "no answer");
    let second = open(store, ann).await;
    assert_ne!(first.session.id, second.session.id);
    assert_eq!(finish(store, &second, ann).await, "filling");
    // Once somebody was told of it, a key stands for its session whatever becomes of that.
    subject
        .walk(second.session.id, &[SessionState::Failed])
        .await;
    let again = store.sessions.open_session(keyed(ann)).await.unwrap();
    assert!(matches!(again, Opened::Known(record) if record.answer.body == b"filling"));
}
