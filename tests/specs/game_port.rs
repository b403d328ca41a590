//! The game port of a whole instance, opened with its settings: whose pages may connect, and the
//! certificate from files. There is no web-api: nobody gets in, but everybody is answered.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use game_arena::Arena;
use gameserver_contract::clock::SystemClock;
use gameserver_contract::entropy::SystemEntropy;
use gameserver_control::secret::ControlSecret;
use gameserver_server::config::{
    BudgetMax, CertificateFiles, Origins, PublicAddress, PublicHost, WebSocketTls,
};
use gameserver_server::instance::{Deps, Reload};
use gameserver_server::{HostedGames, Instance, InstanceConfig};
use gameserver_tests::patience::within;
use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::ORIGIN;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use url::Url;
use web_transport_quinn::proto::{ConnectError as ProtoError, ConnectRequest};
use web_transport_quinn::{ALPN, Client, ClientError, ConnectError};

const OURS: &str = "https://play.example";
const OTHER: &str = "https://other.example";

type Key = CertifiedKey<rcgen::KeyPair>;

/// A certificate for `localhost`, written over the one that is there.
fn put_certificate(folder: &Path) -> Key {
    let made = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    fs::write(folder.join("chain.pem"), made.cert.pem()).expect("a file");
    made
}

async fn instance(folder: &Path, origins: &[&str]) -> Instance {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let origins: Vec<_> = origins.iter().map(|each| (*each).to_owned()).collect();
    let config = InstanceConfig {
        id: None,
        game_address: free,
        public: PublicAddress::of(PublicHost::new("localhost").expect("a host")),
        websocket_tls: WebSocketTls::Plain,
        origins: Origins::of(&origins).expect("origins"),
        connections_per_address_max: 256,
        certificate: Some(CertificateFiles {
            chain: folder.join("chain.pem"),
            key: folder.join("key.pem"),
        }),
        control_address: free,
        control_url: None,
        registry_url: "http://127.0.0.1:1".to_owned(),
        control_secret: ControlSecret::new("a-control-secret-for-tests").expect("a secret"),
        region: "local".to_owned(),
        workers: 1,
        matches_max: 1,
        players_max: 1,
        budget_max: BudgetMax::OFF,
        resume_window: Duration::ZERO,
        log_folder: None,
        log_folder_bytes_max: 0,
    };
    let deps = Deps {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let games = HostedGames::default()
        .with::<Arena>()
        .expect("arena is consistent");
    Instance::start(config, games, deps)
        .await
        .expect("an instance")
}

/// A browser that trusts this certificate opens a session for a page of this origin, if any.
async fn session(
    instance: &Instance,
    trusted: &Key,
    origin: Option<&'static str>,
) -> Result<(), ClientError> {
    let mut roots = RootCertStore::empty();
    roots
        .add(trusted.cert.der().clone())
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.as_bytes().to_vec()];
    let quic = QuicClientConfig::try_from(tls).expect("a cipher of QUIC's");
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
    let config = quinn::ClientConfig::new(Arc::new(quic));
    let client = Client::new(endpoint, config);
    let url = format!("https://localhost:{}/", instance.game_address().port());
    let url: Url = url.parse().expect("a URL");
    let mut request = ConnectRequest::new(url);
    if let Some(origin) = origin {
        request = request.with_header(ORIGIN, HeaderValue::from_static(origin));
    }
    within(client.connect(request)).await.map(drop)
}

fn status(refused: &ClientError) -> Option<StatusCode> {
    let ClientError::HttpError(ConnectError::ProtoError(ProtoError::WrongStatus(status))) = refused
    else {
        return None;
    };
    *status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_of_an_origin_that_is_not_allowed_is_answered_403_on_webtransport() {
    let folder = TempDir::new().expect("a folder");
    let trusted = put_certificate(folder.path());
    let closed = instance(folder.path(), &[OURS]).await;
    let refused = session(&closed, &trusted, Some(OTHER)).await;
    let refused = refused.expect_err("the page may not connect");
    assert_eq!(status(&refused), Some(StatusCode::FORBIDDEN), "{refused}");
    assert!(session(&closed, &trusted, Some(OURS)).await.is_ok());
    assert!(session(&closed, &trusted, None).await.is_ok(), "no browser");
    let open = instance(folder.path(), &[]).await;
    assert!(session(&open, &trusted, Some(OTHER)).await.is_ok());
}

fn is_forbidden(error: &WsError) -> bool {
    let WsError::Http(answer) = error else {
        return false;
    };
    answer.status() == StatusCode::FORBIDDEN
}

async fn websocket(instance: &Instance, origin: &'static str) -> Result<(), WsError> {
    let url = format!("ws://{}", instance.game_address());
    let mut request = url.into_client_request()?;
    let origin = HeaderValue::from_static(origin);
    request.headers_mut().insert(ORIGIN, origin);
    let connecting = Box::pin(tokio_tungstenite::connect_async(request));
    within(connecting).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_of_an_origin_that_is_not_allowed_is_answered_403_on_websocket() {
    let folder = TempDir::new().expect("a folder");
    put_certificate(folder.path());
    let closed = instance(folder.path(), &[OURS]).await;
    let refused = websocket(&closed, OTHER).await;
    assert!(refused.as_ref().is_err_and(is_forbidden), "{refused:?}");
    assert!(websocket(&closed, OURS).await.is_ok());
    let open = instance(folder.path(), &[]).await;
    assert!(websocket(&open, OTHER).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn certificate_files_that_were_replaced_are_served_after_a_reload() {
    let folder = TempDir::new().expect("a folder");
    let first = put_certificate(folder.path());
    let instance = instance(folder.path(), &[]).await;
    assert!(session(&instance, &first, None).await.is_ok());
    let second = put_certificate(folder.path());
    assert!(session(&instance, &first, None).await.is_ok(), "not yet");
    assert!(matches!(
        instance.reload_certificate(),
        Ok(Reload::Replaced)
    ));
    assert!(session(&instance, &second, None).await.is_ok());
    assert!(session(&instance, &first, None).await.is_err());
    assert!(matches!(
        instance.reload_certificate(),
        Ok(Reload::Unchanged)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_old_certificate_is_kept_while_the_new_one_cannot_be_used() {
    let folder = TempDir::new().expect("a folder");
    let first = put_certificate(folder.path());
    let instance = instance(folder.path(), &[]).await;
    let key_of_another = put_certificate(folder.path());
    fs::write(folder.path().join("chain.pem"), first.cert.pem()).expect("a file");
    assert!(instance.reload_certificate().is_err(), "the key fits not");
    fs::write(folder.path().join("chain.pem"), "nothing").expect("a file");
    assert!(instance.reload_certificate().is_err());
    fs::remove_file(folder.path().join("chain.pem")).expect("it is there");
    assert!(instance.reload_certificate().is_err());
    assert!(session(&instance, &first, None).await.is_ok());
    fs::write(folder.path().join("chain.pem"), key_of_another.cert.pem()).expect("a file");
    assert!(matches!(
        instance.reload_certificate(),
        Ok(Reload::Replaced)
    ));
    assert!(session(&instance, &key_of_another, None).await.is_ok());
}
