//! What thin mode adds: reliable frames and snapshots of which only the newest matters.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_tungstenite::tungstenite::Message;

use super::harness::*;
use crate::close::{CloseCode, Side};
use crate::connection::{Connection, SendError};
use crate::frame::{Answer, Mode};
use crate::limits::{CLIENT_FRAME_BYTES_MAX, INCOMING_DATAGRAMS_MAX, RELIABLE_FRAME_BYTES_MAX};
use crate::listener::{Listener, ListenerConfig};

/// The next reliable frame, wherever the carrier brings it.
async fn next_frame(connection: &Connection) -> Option<Bytes> {
    if connection.kind() == WebSocket {
        within(connection.receive()).await
    } else {
        within(connection.receive_reliable()).await
    }
}

fn frame(number: u32, size: usize) -> Bytes {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(size.max(4), 0);
    bytes.into()
}

async fn assert_in_order(from: &Connection, to: &Connection, sizes: &[usize]) {
    for (number, &size) in (0..).zip(sizes) {
        from.send_reliable(frame(number, size)).unwrap();
    }
    for (number, &size) in (0..).zip(sizes) {
        assert_eq!(next_frame(to).await, Some(frame(number, size)));
    }
    eventually(|| from.reliable_backlog() == 0).await;
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

/// A QUIC client that was let in and keeps no rule; the server's end of it.
async fn raw_player(
    listener: &mut Listener,
) -> (
    quinn::Connection,
    quinn::SendStream,
    quinn::RecvStream,
    Connection,
) {
    let greeting = framed(&hello().encode().unwrap());
    let (connection, send, receive) = raw_stream(listener, &greeting).await;
    let server = arrival(listener).await.welcome(welcome()).unwrap();
    (connection, send, receive, server)
}

#[tokio::test]
async fn reliable_frames_arrive_once_and_in_order() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        assert_in_order(&server, &client, &[4; 300]).await;
        assert_in_order(&client, &server, &[4; 200]).await;
        assert_in_order(&server, &client, &[RELIABLE_FRAME_BYTES_MAX; 3]).await;
        assert_in_order(&client, &server, &[CLIENT_FRAME_BYTES_MAX, 4, 5]).await;
        assert_flows(&client, &server, b"input").await;
        assert_flows(&server, &client, b"snapshot").await;
    }
}

#[tokio::test]
async fn a_frame_that_the_peer_would_not_take_is_not_sent() {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, Quic).await;
    for (end, size_max) in [
        (&client, CLIENT_FRAME_BYTES_MAX),
        (&server, RELIABLE_FRAME_BYTES_MAX),
    ] {
        let size = size_max + 1;
        let sent = end.send_reliable(Bytes::from(vec![0; size]));
        assert_eq!(sent, Err(SendError::TooLarge { size, size_max }));
    }
    assert_eq!((client.closed(), server.closed()), (None, None));
}

#[tokio::test]
async fn a_peer_that_takes_no_frames_has_its_sender_wait() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        let count = u32::try_from(INCOMING_DATAGRAMS_MAX).unwrap() + 100;
        for number in 0..count {
            client.send_reliable(frame(number, 600)).unwrap();
        }
        eventually(|| server.stats().datagrams_in >= 100).await;
        for number in 0..count {
            assert_eq!(next_frame(&server).await, Some(frame(number, 600)));
        }
        assert_eq!(server.stats().dropped_in, 0);
    }
}

#[tokio::test]
async fn a_peer_that_leaves_too_many_frames_is_a_slow_consumer() {
    let mut listener = listener();
    let (connection, _send, _receive, server) = raw_player(&mut listener).await;
    let flood = async {
        while server.send_reliable(frame(0, 4096)).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(flood).await;
    assert_eq!(server.closed().unwrap().code, CloseCode::SlowConsumer);
    assert_eq!(server.send_reliable(frame(0, 4)), Err(SendError::Closed));
    assert_eq!(quic_close_code(&connection).await, CloseCode::SlowConsumer);
}

#[tokio::test]
async fn last_words_arrive_before_the_end() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        for number in 0..100 {
            server.send_reliable(frame(number, 2000)).unwrap();
        }
        server.finish(CloseCode::MatchOver, "over");
        assert_eq!(server.send_reliable(frame(0, 4)), Err(SendError::Closed));
        drop(server);
        for number in 0..100 {
            assert_eq!(next_frame(&client).await, Some(frame(number, 2000)));
        }
        assert_eq!(next_frame(&client).await, None);
        let heard = within(client.wait_closed()).await;
        assert_eq!((heard.code, heard.by), (CloseCode::MatchOver, Side::Peer));
    }
}

#[tokio::test]
async fn a_peer_that_does_not_take_last_words_is_closed_all_the_same() {
    let mut listener = listener();
    let (connection, _send, _receive, server) = raw_player(&mut listener).await;
    for number in 0..60 {
        server.send_reliable(frame(number, 4096)).unwrap();
    }
    server.finish(CloseCode::Kicked, "");
    assert_eq!(quic_close_code(&connection).await, CloseCode::Kicked);
}

#[tokio::test]
async fn a_client_with_nothing_reliable_to_say_may_finish_its_stream() {
    let mut listener = listener();
    let (connection, mut send, mut receive, server) = raw_player(&mut listener).await;
    send.write_all(&framed(b"chat")).await.unwrap();
    send.finish().unwrap();
    assert_eq!(next_frame(&server).await, Some(Bytes::from_static(b"chat")));
    connection
        .send_datagram(Bytes::from_static(b"input"))
        .unwrap();
    assert!(within(server.receive()).await.is_some());
    server.send_reliable(Bytes::from_static(b"event")).unwrap();
    let mut length = [0; 2];
    within(receive.read_exact(&mut length)).await.unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    within(receive.read_exact(&mut answer)).await.unwrap();
    assert!(matches!(Answer::decode(&answer), Ok(Answer::Welcome(_))));
    let mut event = [0; 7];
    within(receive.read_exact(&mut event)).await.unwrap();
    assert_eq!(event.as_slice(), framed(b"event"));
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection() {
    let too_long = [0xff; 2];
    let cut_off = [0, 9, 1, 2, 3];
    for bytes in [too_long.as_slice(), &cut_off] {
        let mut listener = listener();
        let (connection, mut send, _receive, server) = raw_player(&mut listener).await;
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
        assert_eq!(quic_close_code(&connection).await, CloseCode::ProtocolError);
        let reason = within(server.wait_closed()).await;
        assert_eq!(reason.code, CloseCode::ProtocolError);
    }
    let mut listener = listener();
    let (connection, mut send, _receive, _server) = raw_player(&mut listener).await;
    send.reset(7u32.into()).unwrap();
    assert_eq!(quic_close_code(&connection).await, CloseCode::ProtocolError);
}

#[tokio::test]
async fn a_client_that_stops_the_stream_is_closed() {
    let mut listener = listener();
    let (connection, _send, mut receive, server) = raw_player(&mut listener).await;
    receive.stop(7u32.into()).unwrap();
    let flood = async {
        while server.send_reliable(frame(0, 4)).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(flood).await;
    assert_eq!(quic_close_code(&connection).await, CloseCode::ProtocolError);
}

#[tokio::test]
async fn native_mode_has_datagrams_only() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = native_pair(&mut listener, kind).await;
        for end in [&client, &server] {
            assert_eq!(end.mode(), Mode::Native);
            let sent = end.send_reliable(frame(0, 4));
            assert_eq!(sent, Err(SendError::NoReliableChannel));
        }
        assert_flows(&client, &server, b"input").await;
        assert_flows(&server, &client, b"state").await;
    }
}

#[tokio::test]
async fn snapshots_that_nobody_takes_are_replaced_and_then_the_peer_is_closed() {
    let config = ListenerConfig {
        slow_consumer_after: Duration::from_millis(100),
        ..config()
    };
    let mut listener = Listener::bind(config).unwrap();
    let mut deaf = raw_websocket(&listener).await;
    deaf.send(Message::Binary(hello().encode().unwrap().into()))
        .await
        .unwrap();
    let server = arrival(&mut listener).await.welcome(welcome()).unwrap();
    let snapshot = Bytes::from(vec![0; server.datagram_size_max()]);
    let flood = async {
        while server.send_latest(snapshot.clone()).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(flood).await;
    assert_eq!(server.closed().unwrap().code, CloseCode::SlowConsumer);
    let stats = server.stats();
    assert!(stats.replaced_out > 0);
    assert_eq!(stats.dropped_out, 0);
    assert_eq!(listener.events().traffic().replaced_out, stats.replaced_out);
}

#[tokio::test]
async fn the_newest_snapshot_arrives() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        // Without a pause in between the pump takes some of them at most.
        for number in 0..1000 {
            server.send_latest(frame(number, 100)).unwrap();
        }
        let newest = Some(frame(999, 100));
        while within(client.receive()).await != newest {}
        let stats = server.stats();
        assert_eq!(stats.datagrams_out + stats.replaced_out, 1000);
    }
}
