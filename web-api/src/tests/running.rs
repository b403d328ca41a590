//! The running service: real sockets, gRPC, metrics, shutdown.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gameserver_contract::account::LoginResponse;
use gameserver_contract::clock::{ManualClock, SystemClock};
use gameserver_contract::entropy::SeededEntropy;
use gameserver_control::ResultReport;
use gameserver_control::registry_client::RegistryClient;
use gameserver_control::secret::{AttachSecret, ControlSecret};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::config::{Limits, WebApiConfig};
use crate::kit::cache::Cache;
use crate::server::{Deps, RunningWebApi, StartError, WebApi};
use crate::telemetry;
use crate::tests::instance::FakeInstance;
use crate::tests::world::{CONTROL_SECRET, START_MS, config, memory_db};

pub(crate) static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| {
    let builder = PrometheusBuilder::new().set_buckets(&telemetry::HTTP_REQUEST_BUCKETS);
    builder.unwrap().install_recorder().unwrap()
});

async fn start(limits: Limits) -> RunningWebApi {
    start_with(WebApiConfig { limits, ..config() }).await
}

async fn start_with(config: WebApiConfig) -> RunningWebApi {
    let metrics = METRICS.clone();
    let clock = ManualClock::at_ms(START_MS);
    let deps = Deps {
        clock: clock.clone(),
        entropy: SeededEntropy::new(21),
        db: memory_db().await,
        cache: Cache::memory(clock, 10_000),
        metrics: Some(Arc::new(move || metrics.render())),
    };
    WebApi::start(config, deps).await.unwrap()
}

#[tokio::test]
async fn a_process_that_hosts_matches_is_ready_only_while_its_instance_is_registered() {
    let (registered, is_playable) = watch::channel(false);
    let config = WebApiConfig {
        is_playable: Some(is_playable),
        ..config()
    };
    let api = start_with(config).await;
    for (is_registered, status) in [(false, "503"), (true, "200"), (false, "503")] {
        registered.send_replace(is_registered);
        let answer = get(api.http_address, "/readyz").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    api.shutdown().await;
}

/// Sends the bytes and reads until the other end closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A reset says the same as an end.
    let _ = tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("still open");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    exchange(address, request.as_bytes()).await
}

async fn registry(
    api: &RunningWebApi,
    secret: &str,
) -> RegistryClient<InterceptedService<Channel, AttachSecret>> {
    let endpoint = Endpoint::from_shared(format!("http://{}", api.grpc_address)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    RegistryClient::with_interceptor(channel, ControlSecret::new(secret).unwrap().attach())
}

#[tokio::test]
async fn requests_are_answered_over_http_1_and_counted() {
    let api = start(Limits::default()).await;
    assert!(
        get(api.http_address, "/livez")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        get(api.http_address, "/api/v1/me")
            .await
            .contains("auth.required")
    );
    let unknown = "/api/v1/players/00000000-0000-0000-0000-000000000001";
    get(api.http_address, unknown).await;
    let metrics = get(api.http_address, "/metrics").await;
    assert!(
        metrics.contains("gs_http_request_seconds_bucket{"),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"route="GET /api/v1/players/{id}",status="401""#),
        "{metrics}"
    );
    assert!(!metrics.contains("00000000-0000"), "{metrics}");
    api.shutdown().await;
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_header_is_cut_off() {
    let limits = Limits {
        header_read_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let api = start(limits).await;
    for bytes in ["GET /livez HTTP/1.1\r\nhost:", "", "PRI * HTTP/2", "PRI"] {
        let answer = exchange(api.http_address, bytes.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{bytes:?}: {answer}");
    }
    assert!(
        get(api.http_address, "/livez")
            .await
            .starts_with("HTTP/1.1 200")
    );
    api.shutdown().await;
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_body_is_told_so() {
    let limits = Limits {
        body_read_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let api = start(limits).await;
    let request = "POST /api/v1/auth/guest HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = exchange(api.http_address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request.timeout"), "{answer}");
    api.shutdown().await;
}

#[tokio::test]
async fn a_header_that_http_1_1_does_not_allow_is_refused() {
    let api = start(Limits::default()).await;
    for request in [
        "GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
        "GET /livez HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET /livez HTTP/1.1\nhost: a\nconnection: close\n\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: y\nconnection: close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\n",
    ] {
        let answer = exchange(api.http_address, request.as_bytes()).await;
        assert!(answer.contains(" 400 Bad Request"), "{request:?}: {answer}");
    }
    let old = exchange(api.http_address, b"GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(old.contains(" 200 OK"), "{old}");
    let body = "POST /api/v1/auth/guest HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 4\r\n\r\n{\n}\n";
    let answer = exchange(api.http_address, body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    api.shutdown().await;
}

#[tokio::test]
async fn metrics_are_not_served_where_nobody_asked_for_them() {
    let clock = ManualClock::at_ms(START_MS);
    let deps = Deps {
        clock: clock.clone(),
        entropy: SeededEntropy::new(22),
        db: memory_db().await,
        cache: Cache::memory(clock, 10_000),
        metrics: None,
    };
    let api = WebApi::start(config(), deps).await.unwrap();
    let answer = get(api.http_address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    api.shutdown().await;
}

#[tokio::test]
async fn an_instance_without_the_secret_is_refused() {
    let api = start(Limits::default()).await;
    let secret = ControlSecret::new(CONTROL_SECRET).unwrap();
    let instance = FakeInstance::start(7, &secret).await;
    let mut stranger = registry(&api, "another-secret-of-good-length").await;
    let refused = stranger
        .register(instance.registration())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = stranger
        .heartbeat(instance.heartbeat(Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    api.shutdown().await;
}

#[tokio::test]
async fn an_instance_registers_and_beats_over_grpc() {
    let api = start(Limits::default()).await;
    let secret = ControlSecret::new(CONTROL_SECRET).unwrap();
    let instance = FakeInstance::start(7, &secret).await;
    let mut registry = registry(&api, CONTROL_SECRET).await;
    let unknown = registry
        .heartbeat(instance.heartbeat(Vec::new()))
        .await
        .unwrap()
        .into_inner();
    assert!(!unknown.known);
    let answer = registry
        .register(instance.registration())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.lease_ms, 3_000);
    assert_eq!(answer.ticket_public_keys[0].len(), 32);
    let known = registry
        .heartbeat(instance.heartbeat(Vec::new()))
        .await
        .unwrap()
        .into_inner();
    assert!(known.known);
    let mut garbage = instance.registration();
    garbage.games_json = vec!["{}".to_owned()];
    let refused = registry.register(garbage).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let stray = ResultReport {
        match_id: uuid::Uuid::from_u128(3).to_string(),
        result: Vec::new(),
        signature: Vec::new(),
    };
    assert_eq!(
        registry.report_result(stray).await.unwrap_err().code(),
        Code::NotFound
    );
    api.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_frees_the_port() {
    let api = start(Limits::default()).await;
    let address = api.http_address;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    tokio::time::timeout(Duration::from_secs(5), api.shutdown())
        .await
        .expect("still running");
    assert!(TcpStream::connect(address).await.is_err());
}

/// Makes a guest and returns their access token.
async fn log_in(address: SocketAddr) -> String {
    let request = "POST /api/v1/auth/guest HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let answer = exchange(address, request.as_bytes()).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let login: LoginResponse = serde_json::from_str(body).unwrap();
    login.access_token
}

#[tokio::test]
async fn shutdown_ends_streams_of_events() {
    let api = start(Limits::default()).await;
    let token = log_in(api.http_address).await;
    let request = format!(
        "GET /api/v1/sessions/events HTTP/1.1\r\nhost: test\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(api.http_address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("event: snapshot") {
        let mut piece = [0; 1_024];
        let length = stream.read(&mut piece).await.unwrap();
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    tokio::time::timeout(Duration::from_secs(5), api.shutdown())
        .await
        .expect("the stream kept the service from ending");
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("event: resync"), "{text}");
}

#[tokio::test]
async fn head_tells_the_length_of_what_get_would_send() {
    let api = start(Limits::default()).await;
    let request = "HEAD / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let head = exchange(api.http_address, request.as_bytes()).await;
    let whole = get(api.http_address, "/").await;
    let (headers, body) = whole.split_once("\r\n\r\n").unwrap();
    let length = format!("content-length: {}\r\n", body.len());
    assert!(headers.contains(length.trim()), "{headers}");
    assert!(
        head.contains(&length) && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    api.shutdown().await;
}

#[tokio::test]
async fn a_taken_port_and_a_refused_configuration_are_told() {
    let api = start(Limits::default()).await;
    let clock = Arc::new(SystemClock);
    let deps = Deps {
        clock: clock.clone(),
        entropy: SeededEntropy::new(1),
        db: memory_db().await,
        cache: Cache::memory(clock, 10),
        metrics: None,
    };
    let taken = WebApiConfig {
        http_address: api.http_address,
        ..config()
    };
    let error = WebApi::start(taken, deps.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    let short = WebApiConfig {
        control_secret: "short".into(),
        ..config()
    };
    let error = WebApi::start(short, deps).await.unwrap_err();
    assert!(matches!(error, StartError::Config(_)), "{error}");
    api.shutdown().await;
}
