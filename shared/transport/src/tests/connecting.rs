//! How a client finds its way: fallback, pins, one Hello.

use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::session::TransportOffer;
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use super::harness::*;
use crate::close::{CloseCode, Side};
use crate::connect::{AttemptError, ClientEndpoint, ConnectError, ConnectOptions, connect};
use crate::events::Incident;
use crate::listener::Listener;

/// An offer that leads to a socket which hears everything and says nothing.
async fn blocked_udp(listener: &Listener) -> (UdpSocket, TransportOffer) {
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("quic://{}", mute.local_addr().unwrap());
    (
        mute,
        TransportOffer {
            url,
            ..offer(listener, Quic)
        },
    )
}

#[tokio::test]
async fn all_transports_have_the_same_port_number() {
    let mut listener = listener();
    assert_ne!(listener.local_address().port(), 0);
    for kind in ALL {
        let (client, _server) = pair(&mut listener, kind).await;
        assert_eq!(client.peer().port(), listener.local_address().port());
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let first = listener();
    let mut config = config();
    config.address = first.local_address();
    assert!(Listener::bind(config).is_err());
}

#[tokio::test]
async fn the_client_falls_back_to_websocket_where_udp_is_blocked() {
    let mut listener = listener();
    let (_mute, blocked) = blocked_udp(&listener).await;
    let offers = [blocked, offer(&listener, WebSocket)];
    let serve = async { arrival(&mut listener).await.welcome(welcome()).unwrap() };
    let (client, _server) = tokio::join!(join(&offers), serve);
    assert_eq!(client.unwrap().connection.kind(), WebSocket);
}

#[tokio::test]
async fn the_hello_is_said_over_one_transport_only() {
    let mut listener = listener();
    let offers = [offer(&listener, Quic), offer(&listener, WebSocket)];
    let options = ConnectOptions {
        stagger: Duration::ZERO,
        ..ConnectOptions::default()
    };
    let serve = async { arrival(&mut listener).await.welcome(welcome()).unwrap() };
    let (client, server) = tokio::join!(connect(&offers, hello(), options), serve);
    assert_flows(&client.unwrap().connection, &server, b"input").await;
    assert_eq!(listener.events().arrivals(), 1);
}

#[tokio::test]
async fn a_server_with_another_certificate_hears_no_hello() {
    let listener = listener();
    let wrong = TransportOffer {
        certificate_sha256: Some(certificate().sha256().to_owned()),
        ..offer(&listener, Quic)
    };
    let refused = join(&[wrong]).await;
    let Err(ConnectError::Unreachable(errors)) = refused else {
        panic!("{refused:?}")
    };
    let [AttemptError::Quic(text)] = errors.as_slice() else {
        panic!("{errors:?}")
    };
    assert!(text.contains("certificate"), "{text}");
    assert_eq!(listener.events().arrivals(), 0);
}

/// A proxy that ends TLS before the listener, as in production.
async fn tls_proxy(listener: &Listener) -> TransportOffer {
    let certificate = certificate();
    let tls = TlsAcceptor::from(Arc::new(certificate.tls_config(&[b"http/1.1"]).unwrap()));
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/gs", door.local_addr().unwrap());
    let behind = listener.local_address();
    tokio::spawn(async move {
        while let Ok((stream, _)) = door.accept().await {
            let Ok(mut outside) = tls.accept(stream).await else {
                continue;
            };
            let mut inside = raw_tcp(behind).await;
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        }
    });
    let certificate_sha256 = Some(certificate.sha256().to_owned());
    TransportOffer {
        kind: WebSocket,
        url,
        certificate_sha256,
    }
}

#[tokio::test]
async fn a_client_reaches_a_websocket_behind_a_tls_proxy_by_the_hash_of_its_certificate() {
    let mut listener = listener();
    let behind_tls = tls_proxy(&listener).await;
    let wrong = Some(listener.certificate_sha256().to_owned());
    let refused = join(&[TransportOffer {
        certificate_sha256: wrong,
        ..behind_tls.clone()
    }])
    .await;
    assert!(
        matches!(refused, Err(ConnectError::Unreachable(_))),
        "{refused:?}"
    );
    let offers = [behind_tls];
    let serve = async { arrival(&mut listener).await.welcome(welcome()).unwrap() };
    let (client, server) = tokio::join!(join(&offers), serve);
    assert_flows(&client.unwrap().connection, &server, b"input").await;
}

#[tokio::test]
async fn an_encrypted_websocket_carries_all_that_a_plain_one_does() {
    let mut listener = listener();
    let offers = [tls_proxy(&listener).await];
    let serve = async { arrival(&mut listener).await.welcome(welcome()).unwrap() };
    let (client, server) = tokio::join!(join(&offers), serve);
    let client = client.unwrap().connection;
    // More than any buffer on the way holds.
    for number in 0..200_u8 {
        client.send_reliable(vec![number; 1_000].into()).unwrap();
        server.send_reliable(vec![number; 1_000].into()).unwrap();
    }
    for number in 0..200_u8 {
        let received = tokio::join!(within(server.receive()), within(client.receive()));
        assert_eq!(received.0.unwrap(), vec![number; 1_000]);
        assert_eq!(received.1.unwrap(), vec![number; 1_000]);
    }
    assert_flows(&client, &server, b"input").await;
    assert_flows(&server, &client, b"snapshot").await;
    server.close(CloseCode::Kicked, "out");
    let reason = within(client.wait_closed()).await;
    assert_eq!((reason.code, reason.by), (CloseCode::Kicked, Side::Peer));
}

#[tokio::test]
async fn a_self_signed_server_is_refused_without_its_hash() {
    let listener = listener();
    let unpinned = TransportOffer {
        certificate_sha256: None,
        ..offer(&listener, Quic)
    };
    assert!(matches!(
        join(&[unpinned]).await,
        Err(ConnectError::Unreachable(_))
    ));
}

#[tokio::test]
async fn a_link_that_ends_before_the_answer_is_an_error_and_no_reason_to_try_another() {
    let mut listener = listener();
    for kind in ALL {
        let offers = [offer(&listener, kind), offer(&listener, WebSocket)];
        let serve = async { drop(arrival(&mut listener).await) };
        let (client, ()) = tokio::join!(join(&offers), serve);
        let Err(ConnectError::Lost(reason)) = client else {
            panic!("{client:?}")
        };
        assert_ne!(reason.by, Side::Us);
    }
    assert_eq!(listener.events().arrivals(), 3);
}

#[tokio::test]
async fn no_answer_in_time_is_an_error() {
    let mut listener = listener();
    let timeout = Duration::from_millis(200);
    let options = ConnectOptions {
        timeout,
        ..ConnectOptions::default()
    };
    let offers = [offer(&listener, Quic)];
    let serve = arrival(&mut listener);
    let (client, _unanswered) = tokio::join!(connect(&offers, hello(), options), serve);
    assert!(matches!(client, Err(ConnectError::TimedOut)));
}

#[tokio::test]
async fn offers_that_cannot_be_used_are_told_apart_from_those_that_fail() {
    let listener = listener();
    let only = Some(WebSocket);
    let options = ConnectOptions {
        only,
        ..ConnectOptions::default()
    };
    let none = connect(&[offer(&listener, Quic)], hello(), options).await;
    assert!(matches!(none, Err(ConnectError::NoUsableOffer)));
    let bad = TransportOffer {
        url: "ws://".to_owned(),
        ..offer(&listener, WebSocket)
    };
    assert!(matches!(
        join(&[bad]).await,
        Err(ConnectError::Unreachable(_))
    ));
}

#[tokio::test]
async fn many_clients_share_one_socket() {
    let mut listener = listener();
    let endpoint = Some(ClientEndpoint::bind().unwrap());
    let mut pairs = Vec::new();
    for _ in 0..20 {
        let options = ConnectOptions {
            endpoint: endpoint.clone(),
            ..ConnectOptions::default()
        };
        let offers = [offer(&listener, Quic)];
        let serve = async { arrival(&mut listener).await.welcome(welcome()).unwrap() };
        let (client, server) = tokio::join!(connect(&offers, hello(), options), serve);
        pairs.push((client.unwrap().connection, server));
    }
    let ports = pairs.iter().map(|(_, server)| server.peer().port());
    assert_eq!(ports.collect::<std::collections::BTreeSet<_>>().len(), 1);
    for (client, server) in &pairs {
        assert_flows(client, server, b"input").await;
    }
}

#[tokio::test]
async fn a_client_proves_its_address_when_too_many_have_not() {
    let mut config = config();
    config.unvalidated_max = 0;
    let mut listener = Listener::bind(config).unwrap();
    let (client, server) = pair(&mut listener, Quic).await;
    assert_flows(&client, &server, b"input").await;
    assert_eq!(listener.events().incidents(Incident::RetrySent), 1);
}
