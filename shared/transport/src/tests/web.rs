//! Browsers: WebTransport beside QUIC on one port, and the pages that may connect.

use std::time::Duration;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::ORIGIN;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use web_transport_quinn::proto::{ConnectError as ProtoError, ConnectRequest};
use web_transport_quinn::{ClientError, ConnectError as SessionError, Session};

use super::harness::*;
use crate::close::{CloseCode, RefusalCode, Side};
use crate::connect::{ConnectError, ConnectOptions, connect};
use crate::connection::Connection;
use crate::events::Incident;
use crate::limits::ALPN_WEB;
use crate::listener::{Listener, ListenerConfig};
use crate::origins::Origins;

/// HTTP/3's code for an ordinary end (RFC 9114 §8.1).
const HTTP3_NO_ERROR: u32 = 0x100;
const PAGE: &str = "https://play.example";

/// A browser's session at some path, opened by a page of that origin.
async fn session(
    listener: &Listener,
    origin: Option<&'static str>,
) -> Result<Session, ClientError> {
    let connection = raw_connection(listener, ALPN_WEB).await;
    let url: url::Url = "https://localhost/some/path?and=query".parse().unwrap();
    let mut request = ConnectRequest::new(url);
    if let Some(origin) = origin {
        request = request.with_header(ORIGIN, HeaderValue::from_static(origin));
    }
    within(Session::connect(connection, request)).await
}

/// A page that was let in; the server's end of it.
async fn raw_page(listener: &mut Listener) -> (Session, Connection) {
    let session = session(listener, None).await.unwrap();
    let (mut send, mut receive) = session.open_bi().await.unwrap();
    let hello = hello().encode().unwrap();
    let length = u16::try_from(hello.len()).unwrap().to_be_bytes();
    let greeting = [&length, hello.as_slice()].concat();
    send.write_all(&greeting).await.unwrap();
    let server = arrival(listener).await.welcome(welcome()).unwrap();
    within(receive.read_exact(&mut [0; 2])).await.unwrap();
    (session, server)
}

fn impatient() -> Listener {
    let config = ListenerConfig {
        handshake_deadline: Duration::from_millis(200),
        hello_deadline: Duration::from_millis(200),
        ..config()
    };
    Listener::bind(config).unwrap()
}

#[tokio::test]
async fn a_session_comes_in_at_any_path() {
    let mut listener = listener();
    let (session, server) = raw_page(&mut listener).await;
    assert_eq!(server.kind(), WebTransport);
    server.send(Bytes::from_static(b"snapshot")).unwrap();
    let datagram = within(session.read_datagram()).await.unwrap();
    assert_eq!(datagram.as_ref(), b"snapshot");
    session.close(0, b"");
    let reason = within(server.wait_closed()).await;
    assert_eq!((reason.code, reason.by), (CloseCode::Consented, Side::Peer));
}

#[tokio::test]
async fn the_largest_payload_leaves_room_for_the_session() {
    let mut listener = listener();
    let (quic, _quic_server) = pair(&mut listener, Quic).await;
    let (web, web_server) = pair(&mut listener, WebTransport).await;
    assert_eq!(web.datagram_size_max() + 1, quic.datagram_size_max());
    assert_eq!(web.datagram_size_max(), web_server.datagram_size_max());
}

#[tokio::test]
async fn a_page_that_vanishes_has_not_said_goodbye() {
    let mut listener = listener();
    let (session, server) = raw_page(&mut listener).await;
    let connection: &quinn::Connection = &session;
    connection.close(HTTP3_NO_ERROR.into(), b"");
    let reason = within(server.wait_closed()).await;
    assert_eq!((reason.code, reason.by), (CloseCode::Lost, Side::Peer));
}

#[tokio::test]
async fn a_client_that_speaks_no_http3_is_closed_in_time() {
    let listener = impatient();
    let silent = raw_connection(&listener, ALPN_WEB).await;
    let babbling = raw_connection(&listener, ALPN_WEB).await;
    let mut stream = babbling.open_uni().await.unwrap();
    stream.write_all(b"\xff\xff\xff\xff hello").await.unwrap();
    within(silent.closed()).await;
    within(babbling.closed()).await;
    eventually(|| listener.events().incidents(Incident::HandshakeFailed) == 2).await;
}

#[tokio::test]
async fn a_session_without_a_hello_is_refused_in_time() {
    let listener = impatient();
    let session = session(&listener, None).await.unwrap();
    within(session.closed()).await;
    assert_eq!(listener.events().refused(RefusalCode::Timeout), 1);
}

#[tokio::test]
async fn a_native_client_prefers_quic() {
    let mut listener = listener();
    let offers = [
        offer(&listener, WebTransport),
        offer(&listener, Quic),
        offer(&listener, WebSocket),
    ];
    let serve = async { arrival(&mut listener).await.welcome(welcome()).unwrap() };
    let (client, _server) = tokio::join!(join(&offers), serve);
    assert_eq!(client.unwrap().connection.kind(), Quic);
    let none = connect(&offers[..1], hello(), ConnectOptions::default()).await;
    assert!(matches!(none, Err(ConnectError::NoUsableOffer)));
}

#[tokio::test]
async fn only_pages_of_allowed_origins_get_a_session() {
    let config = ListenerConfig {
        origins: Origins::These(vec![PAGE.to_owned()]),
        ..config()
    };
    let listener = Listener::bind(config).unwrap();
    assert!(session(&listener, Some(PAGE)).await.is_ok());
    assert!(session(&listener, None).await.is_ok());
    let refused = session(&listener, Some("https://other.example")).await;
    let Err(ClientError::HttpError(SessionError::ProtoError(ProtoError::WrongStatus(status)))) =
        refused
    else {
        panic!("it was not refused over HTTP")
    };
    assert_eq!(status, Some(StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn only_pages_of_allowed_origins_get_a_websocket() {
    let config = ListenerConfig {
        origins: Origins::These(vec![PAGE.to_owned()]),
        ..config()
    };
    let listener = Listener::bind(config).unwrap();
    for (origin, admitted) in [(PAGE, true), ("https://other.example", false)] {
        let url = format!("ws://{}", listener.local_address());
        let mut request = url.into_client_request().unwrap();
        let origin = HeaderValue::from_static(origin);
        request.headers_mut().insert(ORIGIN, origin);
        let connecting = Box::pin(tokio_tungstenite::connect_async(request));
        let answer = within(connecting).await;
        match answer {
            Ok(_) => assert!(admitted),
            Err(WsError::Http(response)) => {
                assert!(!admitted);
                assert_eq!(response.status(), StatusCode::FORBIDDEN);
            }
            Err(error) => panic!("{error}"),
        }
    }
}
