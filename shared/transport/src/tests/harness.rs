//! A listener on a free port, clients for it, and raw peers that keep no rule.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gameserver_contract::ids::{GameId, PlayerId, Seat};
use gameserver_contract::session::{Role, TransportKind, TransportOffer};
use quinn::{ConnectionError, RecvStream, SendStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use uuid::Uuid;

use crate::certificate::{ServerCertificate, ServerIdentity};
use crate::close::CloseCode;
use crate::connect::{ClientEndpoint, ConnectError, ConnectOptions, Connected, connect};
use crate::connection::Connection;
use crate::dial::dial_quic;
use crate::frame::{Credential, Hello, Mode, Welcome};
use crate::limits::{ALPN, IDLE_TIMEOUT, KEEP_ALIVE};
use crate::listener::{Listener, ListenerConfig, PendingConnection};
use crate::quic::config::client_config;
use crate::websocket::handshake::request;

pub(super) use TransportKind::{Quic, WebSocket, WebTransport};

/// Every transport, in the order that offers have.
pub(super) const ALL: [TransportKind; 3] = [Quic, WebTransport, WebSocket];

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .expect("it should not take this long")
}

/// Waits for something that happens in another task and tells nobody.
pub(super) async fn eventually(condition: impl Fn() -> bool) {
    let happens = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    within(happens).await;
}

pub(super) fn certificate() -> ServerCertificate {
    // The hash is what counts here; the dates do not.
    ServerCertificate::self_signed(
        &["localhost".to_owned()],
        SystemTime::UNIX_EPOCH + PATIENCE * 900,
    )
    .unwrap()
}

pub(super) fn config() -> ListenerConfig {
    ListenerConfig::new((Ipv4Addr::LOCALHOST, 0).into(), certificate())
}

pub(super) fn listener() -> Listener {
    Listener::bind(config()).unwrap()
}

pub(super) fn offer(listener: &Listener, kind: TransportKind) -> TransportOffer {
    let scheme = match kind {
        Quic => "quic",
        WebTransport => "https",
        WebSocket => "ws",
    };
    TransportOffer {
        kind,
        url: format!("{scheme}://{}", listener.local_address()),
        certificate_sha256: Some(listener.certificate_sha256().to_owned()),
    }
}

pub(super) fn hello() -> Hello {
    Hello::new(Mode::Thin, Credential::Ticket("ticket".to_owned()), "test")
}

pub(super) fn welcome() -> Welcome {
    Welcome {
        connection: 1,
        player: PlayerId(Uuid::from_u128(2)),
        seat: Some(Seat(3)),
        role: Role::Player,
        tick_rate_hz: 60,
        snapshot_rate_hz: 20,
        resume_token: "resume".to_owned(),
        datagram_size_max: 1200,
        game: GameId::new("arena").unwrap(),
    }
}

pub(super) async fn arrival(listener: &mut Listener) -> PendingConnection {
    within(listener.accept()).await.unwrap()
}

pub(super) async fn join(offers: &[TransportOffer]) -> Result<Connected, ConnectError> {
    within(connect(offers, hello(), options_for(offers))).await
}

/// WebTransport is tried only by who asks for it.
fn options_for(offers: &[TransportOffer]) -> ConnectOptions {
    let web = offers.iter().all(|offer| offer.kind == WebTransport);
    ConnectOptions {
        only: web.then_some(WebTransport),
        ..ConnectOptions::default()
    }
}

/// Connects a client; its connection and the server's.
pub(super) async fn pair(listener: &mut Listener, kind: TransportKind) -> (Connection, Connection) {
    let offers = [offer(listener, kind)];
    let serve = async { arrival(listener).await.welcome(welcome()).unwrap() };
    let (client, server) = tokio::join!(join(&offers), serve);
    (client.unwrap().connection, server)
}

/// The same in native mode.
pub(super) async fn native_pair(
    listener: &mut Listener,
    kind: TransportKind,
) -> (Connection, Connection) {
    let offers = [offer(listener, kind)];
    let mut hello = hello();
    hello.mode = Mode::Native;
    let serve = async { arrival(listener).await.welcome(welcome()).unwrap() };
    let joining = within(connect(&offers, hello, options_for(&offers)));
    let (client, server) = tokio::join!(joining, serve);
    (client.unwrap().connection, server)
}

/// Sends from one end until it arrives at the other: datagrams may be lost.
pub(super) async fn assert_flows(from: &Connection, to: &Connection, payload: &'static [u8]) {
    let payload = Bytes::from_static(payload);
    for _ in 0..10 {
        from.send(payload.clone()).unwrap();
        if let Ok(received) = timeout(Duration::from_secs(2), to.receive()).await {
            assert_eq!(received.unwrap(), payload);
            return;
        }
    }
    panic!("ten datagrams were lost");
}

/// A QUIC client that finished its handshake and says nothing.
pub(super) async fn raw_quic(listener: &Listener) -> quinn::Connection {
    raw_connection(listener, ALPN).await
}

/// The same with this protocol.
pub(super) async fn raw_connection(listener: &Listener, alpn: &[u8]) -> quinn::Connection {
    dial_raw(
        listener.local_address(),
        listener.certificate_sha256(),
        alpn,
    )
    .await
}

/// The same to any server with this certificate.
pub(super) async fn dial_raw(
    server: SocketAddr,
    certificate_sha256: &str,
    alpn: &[u8],
) -> quinn::Connection {
    let identity = ServerIdentity::from_offer(Some(certificate_sha256)).unwrap();
    let endpoint = ClientEndpoint::bind().unwrap();
    let config = client_config(identity, alpn, IDLE_TIMEOUT).unwrap();
    let dialing = dial_quic(&endpoint.endpoint, vec![server], "localhost", &config);
    within(dialing).await.unwrap().0
}

/// The same with the first stream open and these bytes on it.
pub(super) async fn raw_stream(
    listener: &Listener,
    bytes: &[u8],
) -> (quinn::Connection, SendStream, RecvStream) {
    let connection = raw_quic(listener).await;
    let (mut send, receive) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    (connection, send, receive)
}

/// A WebSocket client that finished its handshake and says nothing.
pub(super) async fn raw_websocket(listener: &Listener) -> WebSocketStream<TcpStream> {
    let offer = offer(listener, WebSocket);
    let stream = raw_tcp(listener.local_address()).await;
    let handshake = tokio_tungstenite::client_async(request(&offer.url).unwrap(), stream);
    within(handshake).await.unwrap().0
}

pub(super) async fn raw_tcp(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address)).await.unwrap()
}

/// How the server closed a QUIC connection.
pub(super) async fn quic_close_code(connection: &quinn::Connection) -> CloseCode {
    let error = within(connection.closed()).await;
    let ConnectionError::ApplicationClosed(close) = error else {
        panic!("{error:?}")
    };
    CloseCode::from_quic_code(close.error_code.into_inner())
}

/// A QUIC client that takes datagrams but so many bytes of a stream at most, and says a Hello. Its
/// stream has to be kept.
pub(super) async fn tight_lipped(
    listener: &Listener,
    bytes_max: u32,
) -> (quinn::Connection, RecvStream) {
    let identity = ServerIdentity::from_offer(Some(listener.certificate_sha256())).unwrap();
    let mut transport = quinn::TransportConfig::default();
    transport
        .stream_receive_window(bytes_max.into())
        .keep_alive_interval(Some(KEEP_ALIVE));
    let mut config = client_config(identity, ALPN, IDLE_TIMEOUT).unwrap();
    config.transport_config(Arc::new(transport));
    let endpoint = ClientEndpoint::bind().unwrap().endpoint;
    let connecting = endpoint.connect_with(config, listener.local_address(), "localhost");
    let connection = within(connecting.unwrap()).await.unwrap();
    let (mut send, receive) = connection.open_bi().await.unwrap();
    let hello = hello().encode().unwrap();
    let length = u16::try_from(hello.len()).unwrap().to_be_bytes();
    send.write_all(&[&length, hello.as_slice()].concat())
        .await
        .unwrap();
    send.finish().unwrap();
    (connection, receive)
}
