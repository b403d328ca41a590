//! What was acknowledged stays, whoever hangs up meanwhile.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::fleet::report::MatchReport;
use crate::kit::db::backend::Patience;
use crate::kit::db::sql::Sql;
use crate::tests::subject::{Stores, Subject, at, match_id, new_guest, new_session, opening};

crate::tests::for_each_database! {
    a_write_that_has_begun_goes_on_when_its_caller_goes_away
    acknowledged_writes_survive_calls_that_are_cancelled_next_to_them
    what_was_acknowledged_is_there_after_the_database_is_opened_again
}

/// Polls once, as far as the first wait, and drops the rest, like a client that hangs up. True when
/// there was a rest.
fn begin_and_drop(call: impl Future) -> bool {
    pin!(call)
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

async fn a_write_that_has_begun_goes_on_when_its_caller_goes_away(subject: Subject) {
    let guest = new_guest();
    assert!(begin_and_drop(
        subject.store.accounts.create_guest(guest.clone(), None)
    ));
    let deadline = Instant::now() + Duration::from_secs(5);
    while subject
        .store
        .accounts
        .player(guest.player)
        .await
        .unwrap()
        .is_none()
    {
        assert!(
            Instant::now() < deadline,
            "the write stopped with its caller"
        );
        tokio::task::yield_now().await;
    }
    assert!(
        subject
            .store
            .accounts
            .device(guest.device)
            .await
            .unwrap()
            .is_some()
    );
}

async fn acknowledged_writes_survive_calls_that_are_cancelled_next_to_them(subject: Subject) {
    let session = subject.session(64).await;
    let report = |_| MatchReport {
        match_id: match_id(),
        state: session.session.state,
        seats: Vec::new(),
        spectators: 0,
    };
    let reports: Vec<MatchReport> = (0..3).map(report).collect();
    let mut acknowledged = Vec::new();
    for _ in 0..50 {
        let (instance, epoch) = (session.instance, session.epoch);
        let _ = begin_and_drop(subject.store.sessions.open_session(opening(new_session())));
        let _ = begin_and_drop(subject.store.sessions.apply_reports(
            instance,
            epoch,
            &reports,
            at(0),
        ));
        acknowledged.push(subject.player().await);
    }
    for player in acknowledged {
        assert!(
            subject
                .store
                .accounts
                .player(player)
                .await
                .unwrap()
                .is_some(),
            "{player} is lost"
        );
    }
}

async fn what_was_acknowledged_is_there_after_the_database_is_opened_again(subject: Subject) {
    let player = subject.player().await;
    let Some(url) = &subject.url else { return };
    subject.store.close().await;
    let store = Stores::connect(url, 2).await.unwrap();
    assert!(store.accounts.player(player).await.unwrap().is_some());
    store.close().await;
}

/// The shape of transact-rs/sqlx #4385: a cancelled `begin` leaves its connection inside a
/// transaction, and the next user's auto-committed insert vanishes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_insert_is_lost_next_to_cancelled_begins() {
    let Some(subject) = Subject::postgres().await else {
        return;
    };
    subject.run(insert_next_to_cancelled_begins).await;
}

async fn insert_next_to_cancelled_begins(subject: Subject) {
    let db = &subject.store.db;
    db.execute(Sql::new("CREATE TABLE acknowledged (number BIGINT)"))
        .await
        .unwrap();
    let mut cancelled = 0;
    for number in 0..400_i64 {
        // As far as the server's answer is waited for: the BEGIN is on its way then.
        let begin = db.begin(Patience::Request);
        cancelled += u32::from(poll_until_sent_and_drop(begin).await);
        let insert = Sql::new("INSERT INTO acknowledged VALUES ($1)").bind(number);
        db.execute(insert).await.unwrap();
    }
    assert!(cancelled > 0, "no begin was cancelled on its way");
    let replica = subject.replica().await;
    let kept: Vec<(i64,)> = replica
        .db
        .all(Sql::new("SELECT COUNT(*) FROM acknowledged"))
        .await
        .unwrap();
    assert_eq!(kept, [(400,)]);
}

/// Polls a few times without a pause, which is not long enough for an answer, and drops the rest.
/// True when there was a rest.
async fn poll_until_sent_and_drop(call: impl Future) -> bool {
    let mut call = pin!(call);
    for _ in 0..3 {
        let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if poll.is_ready() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}
