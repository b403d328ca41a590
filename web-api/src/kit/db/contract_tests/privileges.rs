//! What the database user may do.

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use crate::tests::subject::{Stores, Subject, administer, unique_name};

crate::tests::for_each_database! {
    only_a_superuser_is_taken_for_one
}

async fn only_a_superuser_is_taken_for_one(subject: Subject) {
    let server = subject.url.as_deref();
    let Some(url) = server.filter(|url| url.starts_with("postgres")) else {
        assert!(!subject.store.is_superuser().await.unwrap());
        return;
    };
    // Whoever makes roles and databases for tests is one.
    assert!(subject.store.is_superuser().await.unwrap());
    let role = unique_name("gameserver_test_role");
    administer(url, format!("CREATE ROLE {role} LOGIN")).await;
    let options: PgConnectOptions = url.parse().unwrap();
    let as_role = options.username(&role).to_url_lossy().to_string();
    let store = Stores::connect(&as_role, 1).await.unwrap();
    let is_superuser = store.is_superuser().await;
    store.close().await;
    administer(url, format!("DROP ROLE {role}")).await;
    assert!(!is_superuser.unwrap());
}
