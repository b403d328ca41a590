//! Strangers: whatever they send, they get a typed answer or none, and nobody else notices.

use std::fs::File;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use quinn::RecvStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::harness::*;
use crate::close::{CloseCode, RefusalCode};
use crate::connect::ConnectError;
use crate::events::Incident;
use crate::frame::Answer;
use crate::limits::WEBSOCKET_MESSAGE_MAX;
use crate::listener::{Listener, ListenerConfig};

/// A listener that waits for a Hello, or a handshake, no longer than a moment.
fn impatient() -> Listener {
    let mut config = config();
    config.handshake_deadline = Duration::from_millis(200);
    config.hello_deadline = Duration::from_millis(200);
    Listener::bind(config).unwrap()
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_can_still_be_closed() {
    let mut listener = listener();
    let (connection, _receive) = tight_lipped(&listener, 0).await;
    let server = arrival(&mut listener).await.welcome(welcome()).unwrap();
    server.close(CloseCode::Kicked, "");
    assert_eq!(quic_close_code(&connection).await, CloseCode::Kicked);
}

async fn quic_refusal(mut receive: RecvStream) -> RefusalCode {
    let bytes = within(receive.read_to_end(2048)).await.unwrap();
    let (length, answer) = bytes.split_at(2);
    assert_eq!(length, u16::try_from(answer.len()).unwrap().to_be_bytes());
    let Ok(Answer::Refused(refused)) = Answer::decode(answer) else {
        panic!("{answer:?}")
    };
    refused.code
}

async fn websocket_refusal(stream: &mut WebSocketStream<TcpStream>) -> RefusalCode {
    let message = within(stream.next()).await.unwrap().unwrap();
    let Ok(Answer::Refused(refused)) = Answer::decode(&message.into_data()) else {
        panic!("no refusal")
    };
    refused.code
}

async fn websocket_close_code(stream: &mut WebSocketStream<TcpStream>) -> CloseCode {
    let closed = async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Close(Some(frame)) = message {
                return Some(CloseCode::from_websocket_code(frame.code.into()));
            }
        }
        None
    };
    within(closed).await.unwrap()
}

#[tokio::test]
async fn garbage_datagrams_disturb_nobody() {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, Quic).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for number in 0..500u32 {
        let length = usize::try_from(number).unwrap() * 3;
        let first = if number % 2 == 0 { 0xc0 } else { 0x40 };
        let mut garbage = vec![first];
        garbage.extend(number.to_be_bytes().iter().cycle().take(length));
        stranger
            .send_to(&garbage, listener.local_address())
            .await
            .unwrap();
    }
    assert_flows(&client, &server, b"input").await;
    let (second, _server) = pair(&mut listener, Quic).await;
    assert_eq!(second.closed(), None);
}

#[tokio::test]
async fn a_garbage_hello_on_quic_is_refused() {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, Quic).await;
    for garbage in [
        b"\x00\x03\xff\xff\xff".as_slice(),
        b"\x00\x00",
        b"\xff\xff\x96\x00",
    ] {
        let (connection, _send, receive) = raw_stream(&listener, garbage).await;
        assert_eq!(quic_refusal(receive).await, RefusalCode::MalformedHello);
        assert_eq!(quic_close_code(&connection).await, CloseCode::ProtocolError);
    }
    assert_eq!(listener.events().refused(RefusalCode::MalformedHello), 3);
    assert_flows(&client, &server, b"input").await;
}

#[tokio::test]
async fn a_garbage_hello_on_websocket_is_refused() {
    let listener = listener();
    let oversized = vec![0; WEBSOCKET_MESSAGE_MAX + 1];
    let garbage = [
        Message::binary(vec![0xff; 9]),
        Message::text("hi"),
        Message::binary(oversized),
    ];
    for message in garbage {
        let mut stream = raw_websocket(&listener).await;
        stream.send(message).await.unwrap();
        assert_eq!(
            websocket_refusal(&mut stream).await,
            RefusalCode::MalformedHello
        );
        assert_eq!(
            websocket_close_code(&mut stream).await,
            CloseCode::ProtocolError
        );
    }
}

#[tokio::test]
async fn a_client_of_another_version_is_told_so() {
    let listener = listener();
    let (connection, _send, receive) = raw_stream(&listener, b"\x00\x03\x92\x00\x63").await;
    assert_eq!(quic_refusal(receive).await, RefusalCode::ProtocolMismatch);
    assert_eq!(
        quic_close_code(&connection).await,
        CloseCode::ProtocolMismatch
    );
    let mut stream = raw_websocket(&listener).await;
    stream
        .send(Message::binary(b"\x92\x00\x63".to_vec()))
        .await
        .unwrap();
    assert_eq!(
        websocket_refusal(&mut stream).await,
        RefusalCode::ProtocolMismatch
    );
}

#[tokio::test]
async fn unexpected_messages_after_the_welcome_end_the_connection() {
    let mut listener = listener();
    let oversized = vec![0; WEBSOCKET_MESSAGE_MAX + 1];
    for message in [Message::text("{}"), Message::binary(oversized)] {
        let mut stream = raw_websocket(&listener).await;
        stream
            .send(Message::Binary(hello().encode().unwrap().into()))
            .await
            .unwrap();
        let server = arrival(&mut listener).await.welcome(welcome()).unwrap();
        stream.send(message).await.unwrap();
        assert_eq!(
            websocket_close_code(&mut stream).await,
            CloseCode::ProtocolError
        );
        assert_eq!(
            within(server.wait_closed()).await.code,
            CloseCode::ProtocolError
        );
    }
}

#[tokio::test]
async fn half_a_hello_times_out_with_a_typed_refusal() {
    let listener = impatient();
    let (connection, _send, receive) = raw_stream(&listener, b"\x00\x09\x96").await;
    assert_eq!(quic_refusal(receive).await, RefusalCode::Timeout);
    assert_eq!(quic_close_code(&connection).await, CloseCode::Timeout);
    let mut stream = raw_websocket(&listener).await;
    assert_eq!(websocket_refusal(&mut stream).await, RefusalCode::Timeout);
    assert_eq!(websocket_close_code(&mut stream).await, CloseCode::Timeout);
    assert_eq!(listener.events().refused(RefusalCode::Timeout), 2);
}

#[tokio::test]
async fn a_client_that_opens_no_stream_is_closed_in_time() {
    let listener = impatient();
    let connection = raw_quic(&listener).await;
    assert_eq!(quic_close_code(&connection).await, CloseCode::Timeout);
}

/// What the server answers to these bytes before it closes.
async fn http_answer(listener: &Listener, request: &[u8]) -> String {
    let mut stream = raw_tcp(listener.local_address()).await;
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn who_asks_for_something_else_is_told_what_is_spoken_here() {
    let listener = listener();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for request in [
        "GET / HTTP/1.1\r\nHost: game\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: game\r\nContent-Length: 4\r\n\r\nbody".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{upgrade}{key}Sec-WebSocket-Version: 8\r\n\r\n"),
    ] {
        let answer = http_answer(&listener, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 426 "), "{request}: {answer}");
        assert!(answer.contains("\r\nUpgrade: websocket\r\n"));
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"));
    }
    let without_key = format!("GET / HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 13\r\n\r\n");
    for request in [
        without_key.as_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello?\r\n\r\n",
    ] {
        let answer = http_answer(&listener, request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn an_endless_http_request_is_cut_off() {
    let listener = impatient();
    let mut stream = raw_tcp(listener.local_address()).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let rest = within(stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(rest.unwrap_or(0), 0);
    assert_eq!(listener.events().incidents(Incident::HandshakeFailed), 1);
}

#[tokio::test]
async fn other_protocols_on_the_tcp_port_are_closed() {
    let listener = listener();
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ] {
        let mut stream = raw_tcp(listener.local_address()).await;
        stream.write_all(garbage).await.unwrap();
        let _ = within(stream.read_to_end(&mut Vec::new())).await;
    }
    eventually(|| listener.events().incidents(Incident::HandshakeFailed) == 2).await;
}

fn crowded(change: impl FnOnce(&mut ListenerConfig)) -> Listener {
    let mut config = config();
    change(&mut config);
    Listener::bind(config).unwrap()
}

#[tokio::test]
async fn more_than_the_allowed_number_of_pending_clients_are_turned_away() {
    let mut listener = crowded(|config| config.pending_max = 1);
    let mut first = raw_websocket(&listener).await;
    first
        .send(Message::Binary(hello().encode().unwrap().into()))
        .await
        .unwrap();
    let pending = arrival(&mut listener).await;
    for kind in [Quic, WebSocket] {
        let turned_away = join(&[offer(&listener, kind)]).await;
        assert!(
            matches!(turned_away, Err(ConnectError::Unreachable(_))),
            "{turned_away:?}"
        );
    }
    assert_eq!(listener.events().incidents(Incident::PendingFull), 2);
    let _seated = pending.welcome(welcome()).unwrap();
    let (next, _server) = pair(&mut listener, WebSocket).await;
    assert_eq!(next.closed(), None);
}

#[tokio::test]
async fn a_full_queue_of_arrivals_is_answered_as_busy() {
    let listener = crowded(|config| config.arrivals_queued_max = 1);
    let mut first = raw_websocket(&listener).await;
    first
        .send(Message::Binary(hello().encode().unwrap().into()))
        .await
        .unwrap();
    eventually(|| listener.events().arrivals() == 1).await;
    for kind in [Quic, WebSocket] {
        let refused = join(&[offer(&listener, kind)]).await;
        let Err(ConnectError::Refused(refused)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(refused.code, RefusalCode::Busy);
    }
}

const FEW_DESCRIPTORS: &str = "GAMESERVER_TEST_FEW_DESCRIPTORS";

/// Runs a test of this file again, in a process that may have 64 open files.
#[cfg(unix)]
fn run_with_few_descriptors(test: &str) {
    let script = r#"ulimit -n 64; exec "$0" --exact "$1" --test-threads=1"#;
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .arg(format!("tests::hostile::{test}"))
        .env(FEW_DESCRIPTORS, "yes")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_listener_without_file_descriptors_goes_on_when_there_are_some_again() {
    if std::env::var_os(FEW_DESCRIPTORS).is_none() {
        return run_with_few_descriptors(
            "a_listener_without_file_descriptors_goes_on_when_there_are_some_again",
        );
    }
    let mut listener = listener();
    let mut hoard: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One descriptor for the client's socket, none for the server's.
    hoard.pop();
    let mut waiting = raw_tcp(listener.local_address()).await;
    eventually(|| listener.events().incidents(Incident::AcceptFailed) > 0).await;
    hoard.clear();
    let request = concat!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    waiting.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(waiting.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    let (_client, _server) = pair(&mut listener, Quic).await;
}
