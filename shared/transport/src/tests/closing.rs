//! Ends: told, dropped, silent and slow.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use gameserver_contract::session::TransportKind;
use tokio_tungstenite::tungstenite::Message;

use super::harness::*;
use crate::close::{CloseCode, CloseReason, Side};
use crate::listener::Listener;

#[tokio::test]
async fn every_close_code_and_its_text_arrive_on_every_transport() {
    let mut listener = listener();
    for kind in ALL {
        for &code in CloseCode::ALL {
            let (client, server) = pair(&mut listener, kind).await;
            server.close(code, "why");
            let heard = within(client.wait_closed()).await;
            assert_eq!(heard, CloseReason::new(code, "why", Side::Peer));
            assert_eq!(
                server.closed(),
                Some(CloseReason::new(code, "why", Side::Us))
            );
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_heard_on_every_transport() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        client.close(CloseCode::Consented, "bye");
        let heard = within(server.wait_closed()).await;
        assert_eq!(
            heard,
            CloseReason::new(CloseCode::Consented, "bye", Side::Peer)
        );
    }
}

#[tokio::test]
async fn dropping_the_last_handle_is_a_consented_end() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        let clone = client.clone();
        drop(client);
        assert_eq!(clone.closed(), None);
        drop(clone);
        let heard = within(server.wait_closed()).await;
        assert_eq!((heard.code, heard.by), (CloseCode::Consented, Side::Peer));
    }
}

#[tokio::test]
async fn what_arrived_before_the_end_can_be_taken_after_it() {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, WebSocket).await;
    client.send(Bytes::from_static(b"last words")).unwrap();
    eventually(|| server.stats().datagrams_in == 1).await;
    client.close(CloseCode::Consented, "");
    within(server.wait_closed()).await;
    assert_eq!(server.receive().await.unwrap().as_ref(), b"last words");
    assert_eq!(server.receive().await, None);
}

#[tokio::test]
async fn a_closing_listener_tells_everybody() {
    let mut listener = listener();
    let (quic, _quic_server) = pair(&mut listener, Quic).await;
    let (websocket, _websocket_server) = pair(&mut listener, WebSocket).await;
    within(listener.close()).await;
    for client in [quic, websocket] {
        let heard = within(client.wait_closed()).await;
        assert_eq!((heard.code, heard.by), (CloseCode::Draining, Side::Peer));
    }
}

fn impatient() -> Listener {
    let mut config = config();
    config.idle_timeout = Duration::from_millis(300);
    config.slow_consumer_after = Duration::from_millis(100);
    Listener::bind(config).unwrap()
}

/// How the server hears of a client that nobody drives any more: as good as unplugged.
async fn end_of_unplugged(kind: TransportKind) -> CloseReason {
    let mut listener = impatient();
    let offers = [offer(&listener, kind)];
    let unplugged = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(join(&offers)).unwrap();
        (runtime, client)
    });
    let server = arrival(&mut listener).await.welcome(welcome()).unwrap();
    let reason = within(server.wait_closed()).await;
    let (runtime, _client) = unplugged.join().unwrap();
    runtime.shutdown_background();
    reason
}

#[tokio::test]
async fn a_quic_peer_that_vanishes_times_out() {
    let reason = end_of_unplugged(Quic).await;
    assert_eq!(
        (reason.code, reason.by),
        (CloseCode::Timeout, Side::Network)
    );
}

#[tokio::test]
async fn a_browser_that_vanishes_did_not_leave_of_its_own_will() {
    let reason = end_of_unplugged(WebTransport).await;
    assert!(matches!(reason.code, CloseCode::Timeout | CloseCode::Lost));
    assert_eq!(reason.by, Side::Network);
}

#[tokio::test]
async fn a_websocket_peer_that_vanishes_times_out() {
    let mut listener = impatient();
    let mut silent = raw_websocket(&listener).await;
    silent
        .send(Message::Binary(hello().encode().unwrap().into()))
        .await
        .unwrap();
    let server = arrival(&mut listener).await.welcome(welcome()).unwrap();
    let reason = within(server.wait_closed()).await;
    assert_eq!(
        (reason.code, reason.by),
        (CloseCode::Timeout, Side::Network)
    );
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_closed_as_a_slow_consumer() {
    let mut config = config();
    config.slow_consumer_after = Duration::from_millis(100);
    let mut listener = Listener::bind(config).unwrap();
    let mut deaf = raw_websocket(&listener).await;
    deaf.send(Message::Binary(hello().encode().unwrap().into()))
        .await
        .unwrap();
    let server = arrival(&mut listener).await.welcome(welcome()).unwrap();
    let payload = Bytes::from(vec![0; server.datagram_size_max()]);
    let flood = async {
        while server.send(payload.clone()).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(flood).await;
    assert_eq!(server.closed().unwrap().code, CloseCode::SlowConsumer);
    assert!(server.stats().dropped_out > 0);
}
