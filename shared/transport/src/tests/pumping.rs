//! What the pumps of QUIC's drivers are for, over real sockets.

use bytes::Bytes;

use super::harness::*;
use crate::any_sender::AnySender;
use crate::limits::{INCOMING_BYTES_MAX, LATEST_WAITING_MAX, QUIC_DATAGRAM_SEND_BUFFER};

/// Bytes of a datagram here.
const SIZE: usize = 1_000;
/// Three times as many as QUIC holds, and no more than wait on the other side.
const COUNT: usize = 3 * QUIC_DATAGRAM_SEND_BUFFER / SIZE;

const _: () = assert!(COUNT * SIZE < INCOMING_BYTES_MAX);

#[tokio::test]
async fn bare_connections_are_pumped_on_both_sides_and_sessions_on_neither() {
    let mut listener = listener();
    for (kind, expected) in [(Quic, true), (WebTransport, false)] {
        let (client, server) = pair(&mut listener, kind).await;
        for end in [client, server] {
            let link = end.weak_link().upgrade().expect("an open link");
            let has_pump =
                matches!(link.sender(), AnySender::Quic(sender) if sender.pump.is_some());
            assert_eq!(has_pump, expected, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn what_quic_has_no_room_for_waits_until_it_has() {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, Quic).await;
    for number in 0..COUNT {
        let byte = u8::try_from(number).unwrap();
        client.send(Bytes::from(vec![byte; SIZE])).unwrap();
    }
    for number in 0..COUNT {
        let received = within(server.receive()).await.unwrap();
        assert_eq!((received.len(), usize::from(received[0])), (SIZE, number));
    }
}

#[tokio::test]
async fn of_what_waits_only_the_newest_states_are_sent() {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, Quic).await;
    // Nothing runs between these, so the driver sees the last ones only.
    let states: Vec<u8> = (0..20).collect();
    for &state in &states {
        server.send_latest(Bytes::from(vec![state])).unwrap();
    }
    let newest = &states[states.len() - LATEST_WAITING_MAX..];
    for &state in newest {
        assert_eq!(within(client.receive()).await.unwrap(), vec![state]);
    }
    let replaced = states.len() - LATEST_WAITING_MAX;
    assert_eq!(server.stats().replaced_out, replaced as u64);
}

#[tokio::test]
async fn links_that_have_ended_are_let_go_of() {
    let mut listener = listener();
    let (client, server) = pair(&mut listener, Quic).await;
    assert_flows(&client, &server, b"before").await;
    let links = [client.weak_link(), server.weak_link()];
    drop((client, server));
    eventually(|| links.iter().all(|link| link.upgrade().is_none())).await;
}
