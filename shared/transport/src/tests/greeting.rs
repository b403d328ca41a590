//! Hello, Welcome, Refused, and the datagrams after them.

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use super::harness::*;
use crate::close::RefusalCode;
use crate::connect::ConnectError;
use crate::connection::{Connection, SendError};
use crate::frame::Refused;
use crate::limits::{DATAGRAM_SIZE_GUARANTEED, DATAGRAM_SIZE_MAX};

async fn play(kind: TransportKind) {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, kind).await;
    assert_eq!((client.kind(), server.kind()), (kind, kind));
    assert_eq!(client.peer(), listener.local_address());
    assert_flows(&client, &server, b"input").await;
    assert_flows(&server, &client, b"snapshot").await;
    assert_eq!(
        listener.events().traffic().datagrams_in,
        server.stats().datagrams_in
    );
    assert!(server.stats().bytes_out >= 8 && client.stats().bytes_in >= 8);
}

#[test]
fn threads_can_share_a_connection() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Connection>();
}

#[tokio::test]
async fn datagrams_flow_both_ways_on_quic() {
    play(Quic).await;
}

#[tokio::test]
async fn datagrams_flow_both_ways_on_websocket() {
    play(WebSocket).await;
}

#[tokio::test]
async fn the_server_reads_the_hello_and_the_client_the_welcome() {
    let mut listener = listener();
    for kind in ALL {
        let offers = [offer(&listener, kind)];
        let serve = async {
            let arrival = arrival(&mut listener).await;
            assert_eq!((arrival.hello(), arrival.kind()), (&hello(), kind));
            arrival.welcome(welcome()).unwrap()
        };
        let (client, server) = tokio::join!(join(&offers), serve);
        let heard = client.unwrap().welcome;
        assert_eq!(
            (heard.seat, heard.player),
            (welcome().seat, welcome().player)
        );
        assert_eq!(
            usize::from(heard.datagram_size_max),
            server.datagram_size_max()
        );
    }
}

#[tokio::test]
async fn a_refusal_arrives_typed_on_every_transport() {
    let mut listener = listener();
    for kind in ALL {
        let offers = [offer(&listener, kind)];
        let said = Refused::new(RefusalCode::TicketUsed, "this ticket was used");
        let serve = async { arrival(&mut listener).await.refuse(said.clone()).await };
        let (client, ()) = tokio::join!(join(&offers), serve);
        let Err(ConnectError::Refused(heard)) = client else {
            panic!("{client:?}")
        };
        assert_eq!(heard, said);
    }
    assert_eq!(listener.events().refused(RefusalCode::TicketUsed), 3);
}

#[tokio::test]
async fn the_largest_payload_passes_and_a_larger_one_is_an_error() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        let size_max = client.datagram_size_max();
        assert!(
            (DATAGRAM_SIZE_GUARANTEED..=DATAGRAM_SIZE_MAX).contains(&size_max),
            "{size_max}"
        );
        client.send(Bytes::from(vec![7; size_max])).unwrap();
        assert_eq!(within(server.receive()).await.unwrap().len(), size_max);
        let error = SendError::TooLarge {
            size: size_max + 1,
            size_max,
        };
        assert_eq!(client.send(Bytes::from(vec![7; size_max + 1])), Err(error));
    }
}

#[tokio::test]
async fn both_ends_learn_the_round_trip_time() {
    let mut listener = listener();
    for kind in ALL {
        let (client, server) = pair(&mut listener, kind).await;
        eventually(|| client.rtt().is_some() && server.rtt().is_some()).await;
    }
}

#[tokio::test]
async fn a_full_incoming_queue_drops_the_oldest() {
    let mut listener = listener();
    let (client, server) = native_pair(&mut listener, WebSocket).await;
    for number in 0..300u16 {
        client
            .send(Bytes::copy_from_slice(&number.to_be_bytes()))
            .unwrap();
    }
    eventually(|| server.stats().datagrams_in == 300).await;
    assert_eq!(server.stats().dropped_in, 44);
    assert_eq!(server.try_recv().unwrap().as_ref(), 44u16.to_be_bytes());
}

#[tokio::test]
async fn a_thread_without_a_runtime_can_welcome_and_send() {
    let mut listener = listener();
    let offers = [offer(&listener, Quic)];
    let serve = async {
        let arrival = arrival(&mut listener).await;
        let thread = std::thread::spawn(move || {
            let server = arrival.welcome(welcome()).unwrap();
            server.send(Bytes::from_static(b"from a thread")).unwrap();
            server
        });
        thread.join().unwrap()
    };
    let (client, _server) = tokio::join!(join(&offers), serve);
    let received = within(async { client.unwrap().connection.receive().await });
    assert_eq!(received.await.unwrap().as_ref(), b"from a thread");
}
