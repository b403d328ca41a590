//! A service with one instance, players who call it, and a clock that only the test moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use gameserver_contract::account::LoginResponse;
use gameserver_contract::clock::ManualClock;
use gameserver_contract::entropy::SeededEntropy;
use gameserver_contract::session::{JoinResponse, Session};
use gameserver_contract::ticket::{JoinTicket, TicketVerifier};
use gameserver_control::secret::ControlSecret;
use gameserver_control::{Admits, HeartbeatResponse, MatchStatus, SeatStatus};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::compose::Services;
use crate::config::{Keys, WebApiConfig};
use crate::kit::cache::Cache;
use crate::kit::db::Db;
use crate::kit::http::context::PeerAddress;
use crate::kit::http::with_layers;
use crate::server::Deps;
pub(crate) use crate::tests::event_stream::EventStream;
use crate::tests::instance::FakeInstance;
use crate::tests::subject::Stores;

/// When every test begins.
pub(crate) const START_MS: i64 = 1_700_000_000_000;
pub(crate) const CONTROL_SECRET: &str = "a-control-secret-for-tests";

pub(crate) struct World {
    pub(crate) services: Services,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) instance: FakeInstance,
    router: Router,
}

/// What a call was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

/// A call in the making.
#[derive(Debug)]
pub(crate) struct Call<'w> {
    router: &'w Router,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    peer: SocketAddr,
}

pub(crate) fn config() -> WebApiConfig {
    let keys = Keys::generate(&*SeededEntropy::new(11));
    WebApiConfig {
        http_address: ([127, 0, 0, 1], 0).into(),
        grpc_address: ([127, 0, 0, 1], 0).into(),
        cors_origins: vec!["https://play.example.com".to_owned()],
        ..WebApiConfig::new(keys, CONTROL_SECRET.into())
    }
}

pub(crate) async fn memory_db() -> Db {
    let db = Db::connect("sqlite::memory:", 1).await.unwrap();
    db.migrate().await.unwrap();
    db
}

impl World {
    /// A service that one instance has registered with.
    pub(crate) async fn new() -> Self {
        let world = Self::without_instance(config()).await;
        world.register().await;
        world
    }

    pub(crate) async fn without_instance(config: WebApiConfig) -> Self {
        let control_secret = ControlSecret::new(CONTROL_SECRET).unwrap();
        let instance = FakeInstance::start(0xabc, &control_secret).await;
        Self::on(&config, memory_db().await, instance, 12)
    }

    /// A service on this database and an empty cache, as it is after a start; `seed` is for its
    /// ids.
    pub(crate) fn on(config: &WebApiConfig, db: Db, instance: FakeInstance, seed: u64) -> Self {
        let clock = ManualClock::at_ms(START_MS);
        let deps = Deps {
            clock: clock.clone(),
            entropy: SeededEntropy::new(seed),
            db,
            cache: Cache::memory(clock.clone(), 10_000),
            metrics: None,
        };
        Self::with(config, deps, instance, clock)
    }

    /// A service on other parts. `clock` is the one among them, or moves nothing.
    pub(crate) async fn with_deps(
        config: WebApiConfig,
        deps: Deps,
        clock: Arc<ManualClock>,
    ) -> Self {
        let control_secret = ControlSecret::new(CONTROL_SECRET).unwrap();
        let instance = FakeInstance::start(0xabc, &control_secret).await;
        Self::with(&config, deps, instance, clock)
    }

    fn with(
        config: &WebApiConfig,
        deps: Deps,
        instance: FakeInstance,
        clock: Arc<ManualClock>,
    ) -> Self {
        let services = Services::new(config, deps).unwrap();
        let router = services.router();
        Self {
            services,
            clock,
            instance,
            router,
        }
    }

    /// The tables of every capability.
    pub(crate) fn stores(&self) -> Stores {
        Stores::on(self.services.kit.db.clone())
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.services.kit.now()
    }

    pub(crate) async fn register(&self) {
        self.services
            .sessions
            .register(self.instance.registration())
            .await
            .unwrap();
    }

    /// Moves the clock while the instance keeps reporting these matches.
    pub(crate) async fn pass(&self, time: Duration, matches: &[MatchStatus]) {
        let mut left = time;
        while left > Duration::ZERO {
            let step = left.min(Duration::from_secs(1));
            self.clock.advance(step);
            self.heartbeat(matches).await;
            left -= step;
        }
    }

    pub(crate) async fn heartbeat(&self, matches: &[MatchStatus]) -> HeartbeatResponse {
        self.services
            .sessions
            .heartbeat(self.instance.heartbeat(matches.to_vec()))
            .await
            .unwrap()
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/api/v1/{path}")
        };
        let peer = ([192, 0, 2, 1], 40_000).into();
        Call {
            router: &self.router,
            method,
            path,
            headers: Vec::new(),
            body: Vec::new(),
            peer,
        }
    }

    pub(crate) async fn get(&self, path: &str, who: &LoginResponse) -> Answer {
        self.call(Method::GET, path).of(who).send().await
    }

    pub(crate) async fn post(&self, path: &str, who: &LoginResponse, body: Value) -> Answer {
        self.call(Method::POST, path)
            .of(who)
            .json(&body)
            .send()
            .await
    }

    /// A new guest, from an address of their own.
    pub(crate) async fn guest(&self) -> LoginResponse {
        let number = self.services.kit.entropy.next_u64().to_be_bytes();
        let peer = ([10, number[0], number[1], number[2]], 40_000).into();
        let call = Call {
            peer,
            ..self.call(Method::POST, "auth/guest")
        };
        call.json(&json!({})).send().await.expect(200)
    }

    /// A session of four seats that the instance hosts.
    pub(crate) async fn session(&self, host: &LoginResponse) -> Session {
        self.post("sessions", host, json!({"game": "arena"}))
            .await
            .expect(201)
    }

    /// Asks for a session with this idempotency key.
    pub(crate) async fn create_once(&self, who: &LoginResponse, key: &str) -> Answer {
        let call = self.call(Method::POST, "sessions").of(who);
        let call = call.header("idempotency-key", key);
        call.json(&json!({"game": "arena"})).send().await
    }

    pub(crate) async fn join(&self, session: &Session, who: &LoginResponse) -> JoinResponse {
        self.try_join(session, who, json!({})).await.expect(200)
    }

    pub(crate) async fn try_join(
        &self,
        session: &Session,
        who: &LoginResponse,
        body: Value,
    ) -> Answer {
        self.post(&format!("sessions/{}/join", session.id), who, body)
            .await
    }

    pub(crate) async fn session_now(&self, session: &Session, who: &LoginResponse) -> Session {
        self.get(&format!("sessions/{}", session.id), who)
            .await
            .expect(200)
    }

    /// What the instance reads in a ticket.
    pub(crate) fn read_ticket(&self, text: &str) -> JoinTicket {
        let keys = [self.services.sessions.ticket_key()];
        let verifier = TicketVerifier::new(&keys, self.instance.id, self.instance.epoch).unwrap();
        verifier
            .verify(text, self.services.kit.clock.now_ms())
            .unwrap()
    }
}

/// A match's report: its state and who sits where.
pub(crate) fn report(
    session: &Session,
    state: &str,
    seats: &[(u32, &LoginResponse)],
) -> MatchStatus {
    let seat = |(seat, who): &(u32, &LoginResponse)| SeatStatus {
        seat: *seat,
        player_id: who.player.id.to_string(),
    };
    MatchStatus {
        match_id: session.match_id.to_string(),
        state: state.to_owned(),
        seats: seats.iter().map(seat).collect(),
        spectators: 0,
        admits: Admits::Everybody.into(),
    }
}

impl Call<'_> {
    pub(crate) fn of(self, who: &LoginResponse) -> Self {
        let token = format!("Bearer {}", who.access_token);
        self.header("authorization", &token)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// A body that may be no JSON although it says so.
    pub(crate) fn text(self, body: &str) -> Self {
        let body = body.as_bytes().to_vec();
        Self { body, ..self }.header("content-type", "application/json")
    }

    pub(crate) fn bytes(self, body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            ..self
        }
    }

    pub(crate) fn from(self, peer: &str) -> Self {
        Self {
            peer: format!("{peer}:40000").parse().unwrap(),
            ..self
        }
    }

    /// Opens a stream of events.
    pub(crate) async fn open(self) -> EventStream {
        let response = self.respond().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        EventStream::of(response)
    }

    pub(crate) async fn send(self) -> Answer {
        let (parts, body) = self.respond().await.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX)
            .await
            .unwrap()
            .to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    async fn respond(self) -> Response {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(self.body)).unwrap();
        request.extensions_mut().insert(PeerAddress(self.peer));
        self.router.clone().oneshot(request).await.unwrap()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an answer that must have this status.
    pub(crate) fn expect<T: serde::de::DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// Checks that the answer is a problem of this status and code, and returns it.
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{text}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem
    }
}

impl World {
    /// Calls a route that panics, behind all layers of the real ones.
    pub(crate) async fn panicking_call(&self) -> Answer {
        async fn panics() {
            panic!("planted panic");
        }
        let broken = Router::new().route("/panic", axum::routing::post(panics));
        let router = with_layers(broken, &self.services.http).with_state(self.services.clone());
        let world = Self {
            services: self.services.clone(),
            clock: self.clock.clone(),
            instance: self.instance.clone(),
            router,
        };
        world.call(Method::POST, "/panic").send().await
    }
}
