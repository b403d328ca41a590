//! The schema: up, down, and by several starters at once.

use crate::kit::db::DbError;
use crate::kit::db::sql::Sql;
use crate::tests::subject::{Stores, Subject, at, new_guest};

crate::tests::for_each_database! {
    several_starters_migrate_once
    every_migration_can_be_undone_and_made_again
    a_database_of_a_later_build_is_refused_with_both_versions
    a_ready_database_takes_a_write
}

async fn applied(store: &Stores) -> Vec<i64> {
    let status = store.migration_status().await.unwrap();
    let applied = status.into_iter().filter(|(.., applied)| *applied);
    applied.map(|(version, ..)| version).collect()
}

/// Every migration of this build, the oldest first.
async fn known(store: &Stores) -> Vec<i64> {
    let status = store.migration_status().await.unwrap();
    status.into_iter().map(|(version, ..)| version).collect()
}

async fn undo_all(store: &Stores) -> Vec<i64> {
    let mut undone = Vec::new();
    while let Some(version) = store.migrate_down().await.unwrap() {
        undone.push(version);
    }
    undone
}

async fn several_starters_migrate_once(subject: Subject) {
    undo_all(&subject.store).await;
    let mut starters = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = subject.replica().await;
        starters.spawn(async move { store.migrate().await });
    }
    for outcome in starters.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(applied(&subject.store).await, known(&subject.store).await);
    subject.player().await;
}

async fn every_migration_can_be_undone_and_made_again(subject: Subject) {
    subject.player().await;
    let mut newest_first = known(&subject.store).await;
    newest_first.reverse();
    assert_eq!(undo_all(&subject.store).await, newest_first);
    assert!(applied(&subject.store).await.is_empty());
    subject
        .store
        .accounts
        .create_guest(new_guest(), None)
        .await
        .unwrap_err();
    subject.store.migrate().await.unwrap();
    subject.store.migrate().await.unwrap();
    let status = subject.store.migration_status().await.unwrap();
    assert_eq!(status[0], (1, "players".to_owned(), true));
    subject.player().await;
}

/// A later build was here: its migration is in the table, and unknown to this one.
async fn a_database_of_a_later_build_is_refused_with_both_versions(subject: Subject) {
    const LATER: &str = "INSERT INTO _sqlx_migrations \
        (version, description, success, checksum, execution_time) \
        SELECT 99, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    const GONE: &str = "DELETE FROM _sqlx_migrations WHERE version = 99";
    let known = *applied(&subject.store).await.last().unwrap();
    subject.store.db.execute(Sql::new(LATER)).await.unwrap();
    let refused = |outcome: Result<(), DbError>| {
        let error = outcome.unwrap_err();
        let told = error.to_string();
        let (database, build) = (
            "newest migration is 99".to_owned(),
            format!("up to {known};"),
        );
        assert!(told.contains(&database) && told.contains(&build), "{told}");
    };
    refused(subject.store.migration_status().await.map(drop));
    refused(subject.store.migrate().await);
    refused(subject.store.migrate_down().await.map(drop));
    subject.store.db.execute(Sql::new(GONE)).await.unwrap();
    assert_eq!(applied(&subject.store).await.last(), Some(&known));
}

async fn a_ready_database_takes_a_write(subject: Subject) {
    subject.store.check_write(at(0)).await.unwrap();
    subject.store.close().await;
    subject.store.check_write(at(0)).await.unwrap_err();
}

#[tokio::test]
async fn another_kind_of_url_is_refused_without_telling_its_password() {
    for url in [
        "mysql://root:planted-canary@localhost/db",
        "postgres://u:planted-canary@h:x/db",
        "postgres://u:planted-canary/@h/db",
    ] {
        let error = Stores::connect(url, 1).await.unwrap_err();
        assert!(matches!(error, DbError::Url(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("planted-canary"));
    }
}
