//! What a pooler between us and PostgreSQL sees of a connection, and that the limits hold all the
//! same.

use std::net::Ipv4Addr;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::kit::db::backend::Backend;
use crate::tests::subject::{Stores, Subject};

/// What `PgBouncer` takes at the beginning of a connection without being configured.
const ALLOWED: [&str; 7] = [
    "user",
    "database",
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
];

#[tokio::test]
async fn a_connection_begins_with_no_parameter_that_poolers_refuse() {
    let pooler = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = pooler.local_addr().unwrap().port();
    let url = format!("postgres://u:p@127.0.0.1:{port}/d?sslmode=disable");
    let connecting = tokio::spawn(async move { Stores::connect(&url, 1).await });
    let (client, _) = pooler.accept().await.unwrap();
    let names = startup_names(client).await;
    assert!(names.contains(&"user".to_owned()), "{names:?}");
    for name in names {
        let known = ALLOWED.contains(&name.to_ascii_lowercase().as_str());
        assert!(known, "{name} is refused by poolers");
    }
    connecting.await.unwrap().unwrap_err();
}

/// The names in PostgreSQL's startup message: length, version, then pairs of texts.
async fn startup_names(mut client: TcpStream) -> Vec<String> {
    let length = client.read_u32().await.unwrap();
    let mut message = vec![0; length as usize - 4];
    client.read_exact(&mut message).await.unwrap();
    let texts = message[4..].split(|byte| *byte == 0);
    let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
    texts.step_by(2).filter(|name| !name.is_empty()).collect()
}

#[tokio::test]
async fn every_connection_to_postgresql_has_our_limits() {
    let Some(subject) = Subject::postgres().await else {
        return;
    };
    subject
        .run(|subject| async move {
            let Backend::Pg(pg) = &subject.store.db.0 else {
                panic!("not PostgreSQL")
            };
            for (name, value) in [
                ("statement_timeout", "900ms"),
                ("lock_timeout", "700ms"),
                ("idle_in_transaction_session_timeout", "5s"),
            ] {
                let shown: String = sqlx::query_scalar("SELECT current_setting($1)")
                    .bind(name)
                    .fetch_one(pg.pool())
                    .await
                    .unwrap();
                assert_eq!(shown, value, "{name}");
            }
        })
        .await;
}
