//! Clients that take what they can: they send floods, read nothing, or come in crowds from one
//! address. They are closed, and nobody else notices.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::harness::*;
use crate::address_limits::Loopback;
use crate::close::CloseCode;
use crate::connection::Connection;
use crate::events::{DropReason, Incident};
use crate::limits::{RELIABLE_BYTES_MAX, UNSENT_SHARE};
use crate::listener::{Listener, ListenerConfig};

/// A WebSocket client that was let in and does with it what its test says, and the server's end.
async fn welcomed(listener: &mut Listener) -> (WebSocketStream<TcpStream>, Connection) {
    let mut stream = raw_websocket(listener).await;
    let said = Message::Binary(hello().encode().unwrap().into());
    stream.send(said).await.unwrap();
    let server = arrival(listener).await.welcome(welcome()).unwrap();
    within(stream.next()).await.unwrap().unwrap();
    (stream, server)
}

/// Sends until the other side has had enough, and returns what it said.
async fn code_after_a_flood(client: &Connection, server: &Connection) -> CloseCode {
    while client.send(Bytes::from_static(b"x")).is_ok() {
        let _ = server.try_recv();
        tokio::task::yield_now().await;
    }
    client.closed().unwrap().code
}

#[tokio::test]
async fn a_flood_of_datagrams_is_closed_as_rate_limited() {
    for kind in ALL {
        let mut listener = listener();
        let (honest, its_server) = pair(&mut listener, kind).await;
        let (client, server) = pair(&mut listener, kind).await;
        let code = within(code_after_a_flood(&client, &server)).await;
        assert_eq!(code, CloseCode::RateLimited, "{kind:?}");
        assert_eq!(server.closed().unwrap().code, CloseCode::RateLimited);
        assert!(listener.events().drops(DropReason::IncomingFlood) > 0);
        assert_flows(&honest, &its_server, b"input").await;
    }
}

#[tokio::test]
async fn a_flood_of_pings_is_closed_as_rate_limited() {
    let mut listener = listener();
    let (mut stream, server) = welcomed(&mut listener).await;
    let flood = async {
        while stream.send(Message::Ping(Bytes::new())).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(flood).await;
    assert_eq!(
        within(server.wait_closed()).await.code,
        CloseCode::RateLimited
    );
}

#[tokio::test]
async fn a_message_that_never_ends_is_cut_off() {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut listener = listener();
    let (stream, server) = welcomed(&mut listener).await;
    let mut stream = stream.into_inner();
    let begins = [&[0x02, 0x80][..], &MASK].concat();
    let goes_on = [&[0x00, 0x80][..], &MASK].concat();
    stream.write_all(&begins).await.unwrap();
    let endless = goes_on.repeat(1_000);
    let flood = async { while stream.write_all(&endless).await.is_ok() {} };
    within(flood).await;
    let reason = within(server.wait_closed()).await;
    assert_eq!(reason.code, CloseCode::RateLimited, "{reason}");
}

/// Sends one reliable frame after the other until the carrier takes no more.
async fn fill(server: &Connection) {
    let frame = Bytes::from(vec![0; 8 * 1024]);
    while server.reliable_backlog() < RELIABLE_BYTES_MAX / 2 {
        server.send_reliable(frame.clone()).unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_does_not_read_is_closed_although_nothing_else_is_sent() {
    let config = ListenerConfig {
        // It does not read but it says something now and then.
        idle_timeout: Duration::from_mins(10),
        ..config()
    };
    let mut listener = Listener::bind(config).unwrap();
    let (_deaf, server) = welcomed(&mut listener).await;
    fill(&server).await;
    // From here on nothing but time goes by, and it need not be waited for.
    tokio::time::pause();
    let reason = server.wait_closed().await;
    assert_eq!(reason.code, CloseCode::SlowConsumer, "{reason}");
    assert_eq!(listener.events().unsent_bytes(), 0);
}

#[tokio::test]
async fn who_takes_too_little_of_a_stream_is_closed_although_nothing_else_is_sent() {
    let mut listener = listener();
    // Room for the answer, and for no more.
    let (_deaf, _receive) = tight_lipped(&listener, 256).await;
    let server = arrival(&mut listener).await.welcome(welcome()).unwrap();
    server.send_reliable(Bytes::from(vec![0; 1_000])).unwrap();
    tokio::time::pause();
    let reason = server.wait_closed().await;
    assert_eq!(reason.code, CloseCode::SlowConsumer, "{reason}");
}

#[tokio::test]
async fn those_with_more_than_their_share_make_room_when_too_much_waits() {
    let config = ListenerConfig {
        unsent_max: 2 * UNSENT_SHARE,
        ..config()
    };
    let mut listener = Listener::bind(config).unwrap();
    let (_client, greedy) = welcomed(&mut listener).await;
    let (_other, modest) = welcomed(&mut listener).await;
    // Nothing runs between these, so all of it waits.
    let piece = Bytes::from(vec![0; UNSENT_SHARE]);
    greedy.send_reliable(piece.clone()).unwrap();
    greedy.send_reliable(piece.clone()).unwrap();
    modest.send_reliable(piece).unwrap();
    assert_eq!((greedy.closed(), modest.closed()), (None, None));
    greedy.send_reliable(Bytes::from_static(b"more")).unwrap();
    assert_eq!(greedy.closed().unwrap().code, CloseCode::SlowConsumer);
    assert_eq!(modest.closed(), None);
    assert_eq!(listener.events().unsent_bytes(), UNSENT_SHARE);
    assert_eq!(listener.events().incidents(Incident::UnsentFull), 1);
}

/// Two connections of each address, pending ones included, and this machine counts.
fn strict() -> Listener {
    let config = ListenerConfig {
        connections_per_address_max: 2,
        loopback: Loopback::Counted,
        ..config()
    };
    Listener::bind(config).unwrap()
}

/// A TCP connection that comes from another address of this machine.
async fn tcp_from(address: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    within(socket.connect(server)).await.unwrap()
}

async fn is_closed_unread(mut stream: TcpStream) -> bool {
    // The end, or a reset.
    within(stream.read(&mut [0; 16])).await.unwrap_or(0) == 0
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    for kind in [Quic, WebSocket] {
        let mut listener = strict();
        let first = pair(&mut listener, kind).await;
        let _second = pair(&mut listener, kind).await;
        let third = join(&[offer(&listener, kind)]).await;
        assert!(third.is_err(), "{kind:?}");
        let full = || listener.events().incidents(Incident::AddressFull);
        assert!(full() > 0);
        drop(first);
        // It has a place again once the server knows.
        let address = Ipv4Addr::LOCALHOST.into();
        eventually(|| !listener.is_full_for(address)).await;
        let (client, server) = pair(&mut listener, kind).await;
        assert_flows(&client, &server, b"input").await;
    }
}

#[tokio::test]
async fn half_open_connections_of_one_address_keep_nobody_else_out() {
    let listener = strict();
    let server = listener.local_address();
    let _silent = [raw_tcp(server).await, raw_tcp(server).await];
    assert!(is_closed_unread(raw_tcp(server).await).await);
    assert_eq!(listener.events().incidents(Incident::AddressFull), 1);
    let other = tcp_from(Ipv4Addr::new(127, 0, 0, 2), server).await;
    let url = offer(&listener, WebSocket).url;
    let request = crate::websocket::handshake::request(&url).unwrap();
    within(tokio_tungstenite::client_async(request, other))
        .await
        .unwrap();
}
