//! A stranger who sends in another's name.

use std::time::Duration;

use tokio::net::UdpSocket;

use super::harness::*;
use crate::certificate::ServerIdentity;
use crate::connect::ClientEndpoint;
use crate::events::Incident;
use crate::limits::{ALPN, IDLE_TIMEOUT};
use crate::listener::{Listener, ListenerConfig};
use crate::quic::config::client_config;

/// The first datagram of a client that would connect to this server.
async fn first_datagram(listener: &Listener) -> Vec<u8> {
    let fake = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let identity = ServerIdentity::from_offer(Some(listener.certificate_sha256())).unwrap();
    let config = client_config(identity, ALPN, IDLE_TIMEOUT).unwrap();
    let client = ClientEndpoint::bind().unwrap().endpoint;
    let to = fake.local_addr().unwrap();
    let _connecting = client.connect_with(config, to, "localhost").unwrap();
    let mut datagram = vec![0; 2048];
    let (length, _) = within(fake.recv_from(&mut datagram)).await.unwrap();
    datagram.truncate(length);
    datagram
}

#[tokio::test]
async fn whoever_is_named_as_the_sender_is_sent_three_times_as_much_at_most() {
    let config = ListenerConfig {
        // Long enough for the server to send what was not acknowledged again, twice.
        handshake_deadline: Duration::from_millis(3_500),
        ..config()
    };
    let listener = Listener::bind(config).unwrap();
    let first = first_datagram(&listener).await;
    let named = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    named
        .send_to(&first, listener.local_address())
        .await
        .unwrap();
    let events = listener.events();
    let (mut received, mut datagram) = (0, [0; 2048]);
    while events.incidents(Incident::HandshakeFailed) == 0 {
        let next = named.recv(&mut datagram);
        if let Ok(length) = tokio::time::timeout(Duration::from_millis(50), next).await {
            received += length.unwrap();
        }
    }
    assert!(received >= first.len(), "the server answered nothing");
    assert!(
        received <= 3 * first.len(),
        "{received} bytes for {}",
        first.len()
    );
}
