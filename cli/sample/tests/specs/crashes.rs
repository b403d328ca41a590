//! Services that are killed or told to stop while somebody relies on them, and logins that end.

use std::path::Path;
use std::time::{Duration, Instant};

use gameserver_contract::account::LoginResponse;
use gameserver_contract::session::{JoinResponse, Page, Session};
use gameserver_transport::close::CloseCode;
use gameserver_transport::connect::{ConnectOptions, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    CONTROL_SECRET, Cluster, PATIENCE, PROGRAM, Process, eventually, registered_instance,
};

/// Keys of a production-like service: what it signed is good after its next start.
const KEYS: [(&str, &str); 4] = [
    (
        "GAMESERVER__KEYS__ACCESS_TOKEN",
        "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
    ),
    (
        "GAMESERVER__KEYS__TICKET",
        "AgIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
    ),
    (
        "GAMESERVER__KEYS__REFRESH",
        "AwIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
    ),
    (
        "GAMESERVER__KEYS__CURSOR",
        "BAIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
    ),
];

/// A guest who calls the API.
struct Guest {
    api: String,
    login: LoginResponse,
    http: reqwest::Client,
}

impl Guest {
    async fn log_in(api: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("an HTTP client");
        let call = http
            .post(format!("{api}/api/v1/auth/guest"))
            .json(&json!({}));
        let answer = call.send().await.expect("an answer");
        Self {
            api: api.to_owned(),
            login: answer.json().await.expect("a login"),
            http,
        }
    }

    async fn call(
        &self,
        (method, path): (Method, &str),
        key: Option<&str>,
        body: Value,
    ) -> Result<Response, reqwest::Error> {
        let url = format!("{}/api/v1/{path}", self.api);
        let mut call = self.http.request(method, url);
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        let call = call.bearer_auth(&self.login.access_token).json(&body);
        call.timeout(Duration::from_secs(5)).send().await
    }

    async fn create(&self, key: &str) -> Option<Session> {
        let to = (Method::POST, "sessions");
        let answer = self
            .call(to, Some(key), json!({"game": "arena"}))
            .await
            .ok()?;
        answer.json().await.ok()
    }

    async fn join(&self, session: &Session) -> Result<JoinResponse, Value> {
        let path = format!("sessions/{}/join", session.id);
        let answer = self.call((Method::POST, &path), None, json!({})).await;
        let answer = answer.expect("the API answers");
        if answer.status() == StatusCode::OK {
            return Ok(answer.json().await.expect("a ticket"));
        }
        Err(answer.json().await.expect("a problem"))
    }

    /// Connects to the match with a ticket of its own.
    async fn play(&self, session: &Session) -> Connection {
        let ticket = self.join(session).await.expect("a ticket");
        let hello = Hello::new(Mode::Thin, Credential::Ticket(ticket.ticket), "a spec");
        let joined = connect(&ticket.transports, hello, ConnectOptions::default()).await;
        joined.expect("a connection").connection
    }

    async fn open_sessions(&self) -> Vec<Session> {
        let to = (Method::GET, "sessions?limit=100");
        let answer = self.call(to, None, json!({})).await.expect("an answer");
        let page: Page<Session> = answer.json().await.expect("a page");
        page.items
    }
}

fn start_api(data: &Path, addresses: (&str, &str)) -> (Process, String, String) {
    let database = format!("sqlite:{}", data.join("api.sqlite").display());
    let more = [
        ("GAMESERVER__CONTROL__SECRET", CONTROL_SECRET),
        ("DATABASE_URL", &database),
        ("GAMESERVER__HTTP__ADDRESS", addresses.0),
        // The issuer of access tokens, which would otherwise name the port of the first start.
        ("GAMESERVER__HTTP__PUBLIC_URL", "http://127.0.0.1"),
        ("GAMESERVER__CONTROL__ADDRESS", addresses.1),
        // A request is repeated until the instance has registered again, and each time counts.
        ("GAMESERVER__HTTP__SESSIONS_PER_PLAYER_PER_MINUTE", "0"),
        ("GAMESERVER__HTTP__REQUESTS_PER_PLAYER_PER_MINUTE", "0"),
    ];
    let mut api = PROGRAM.start(&["api"], &[&KEYS[..], &more].concat());
    let line = api.wait_for_line("web-api is ready");
    let log: Value = serde_json::from_str(&line).expect("a JSON line");
    let address = |field: &str| log[field].as_str().expect("an address").to_owned();
    (api, address("http"), address("control"))
}

#[tokio::test]
async fn a_key_opens_one_session_whenever_the_service_is_killed() {
    let data = tempfile::tempdir().expect("a folder");
    let (mut api, http, control) = start_api(data.path(), ("127.0.0.1:0", "127.0.0.1:0"));
    let _instance = registered_instance(&format!("http://{control}"), &[]);
    let ann = Guest::log_in(&format!("http://{http}")).await;
    // The moment of the death is what is tried: before, in and after the transaction.
    for (number, delay_ms) in [0, 2, 3, 5, 8, 11, 15, 40].into_iter().enumerate() {
        let key = format!("key-{number}");
        let dies = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            api.signal("KILL");
            api.wait_for_exit();
        };
        let (first, ()) = tokio::join!(ann.create(&key), dies);
        (api, _, _) = start_api(data.path(), (&http, &control));
        let again = eventually("the request is answered", || ann.create(&key)).await;
        if let Some(first) = first {
            assert_eq!(first, again, "killed after {delay_ms} ms");
        }
        let open = ann.open_sessions().await;
        assert_eq!(
            open.len(),
            number + 1,
            "killed after {delay_ms} ms: {open:#?}"
        );
        // The instance has to find the service again first.
        eventually("its match runs", || async { ann.join(&again).await.ok() }).await;
    }
}

#[tokio::test]
async fn an_instance_that_is_told_to_stop_gets_nobody_after_a_second() {
    let mut cluster = Cluster::start_with(&[("GAMESERVER__INSTANCE__DRAIN_S", "4")]);
    let ann = Guest::log_in(&cluster.url).await;
    let session = ann.create("key").await.expect("a session");
    // A match that somebody plays lasts for as long as it may; an empty one would end at once.
    let _player = ann.play(&session).await;
    cluster.instance.signal("TERM");
    let told = Instant::now();
    let problem = eventually("joins are refused", || async {
        ann.join(&session).await.err()
    })
    .await;
    // One second is promised; the other specs on this machine may take two more.
    assert!(told.elapsed() < Duration::from_secs(3), "{problem}");
    assert_eq!(problem["details"]["state"], "draining");
    let stays_refused = async {
        while told.elapsed() < Duration::from_secs(4) {
            let joined = ann.join(&session).await;
            assert!(joined.is_err(), "a ticket of no use: {joined:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    stays_refused.await;
    assert_eq!(cluster.instance.wait_for_exit().code(), Some(0));
    assert!(ann.join(&session).await.is_err());
}

#[tokio::test]
async fn logging_out_ends_the_connection_to_the_match() {
    let cluster = Cluster::start();
    let ann = Guest::log_in(&cluster.url).await;
    let session = ann.create("key").await.expect("a session");
    let connection = ann.play(&session).await;
    let body = json!({"refresh_token": ann.login.refresh_token});
    let out = ann.call((Method::POST, "auth/logout"), None, body).await;
    assert_eq!(out.expect("an answer").status(), StatusCode::NO_CONTENT);
    let logged_out = Instant::now();
    let closed = tokio::time::timeout(PATIENCE, connection.wait_closed()).await;
    assert_eq!(closed.expect("it is closed").code, CloseCode::Kicked);
    assert!(logged_out.elapsed() < Duration::from_secs(5));
}
