//! Clients on bad networks, over real sockets: what is promised to them still holds, and what the
//! conditions say really happens.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use tokio::time::timeout;

use super::harness::*;
use crate::close::CloseCode;
use crate::conditions::Tally;
use crate::connect::{ClientEndpoint, ConnectError, ConnectOptions, connect};
use crate::connection::Connection;
use crate::listener::Listener;

fn endpoint(conditions: &str) -> ClientEndpoint {
    ClientEndpoint::bind_under(conditions.parse().unwrap(), 7).unwrap()
}

fn options(endpoint: &ClientEndpoint, kind: TransportKind) -> ConnectOptions {
    ConnectOptions {
        only: Some(kind),
        endpoint: Some(endpoint.clone()),
        ..ConnectOptions::default()
    }
}

/// A client under conditions, and the server's end of its connection.
async fn pair_under(
    listener: &mut Listener,
    endpoint: &ClientEndpoint,
    kind: TransportKind,
) -> (Connection, Connection) {
    let offers = [offer(listener, kind)];
    let serve = async { arrival(listener).await.welcome(welcome()).unwrap() };
    let joining = connect(&offers, hello(), options(endpoint, kind));
    let (client, server) = tokio::join!(within(joining), serve);
    (client.unwrap().connection, server)
}

/// The next reliable frame, wherever the carrier brings it.
async fn next_frame(connection: &Connection) -> Bytes {
    let frame = if connection.kind() == WebSocket {
        within(connection.receive()).await
    } else {
        within(connection.receive_reliable()).await
    };
    frame.expect("the connection lives")
}

/// There and back again.
async fn round_trip(client: &Connection, server: &Connection) -> Duration {
    let began = Instant::now();
    client.send(Bytes::from_static(b"there")).unwrap();
    assert!(within(server.receive()).await.is_some());
    server.send(Bytes::from_static(b"back")).unwrap();
    assert!(within(client.receive()).await.is_some());
    began.elapsed()
}

#[tokio::test]
async fn a_connection_survives_a_bad_network() {
    let mut listener = listener();
    for kind in ALL {
        let endpoint = endpoint("bad");
        let (client, server) = pair_under(&mut listener, &endpoint, kind).await;
        for number in 0..200_u8 {
            client.send_reliable(Bytes::from(vec![number; 40])).unwrap();
            server
                .send_reliable(Bytes::from(vec![number; 900]))
                .unwrap();
        }
        for number in 0..200_u8 {
            assert_eq!(next_frame(&server).await, vec![number; 40]);
            assert_eq!(next_frame(&client).await, vec![number; 900]);
        }
        assert_flows(&client, &server, b"input").await;
        assert_flows(&server, &client, b"snapshot").await;
        assert_eq!((client.closed(), server.closed()), (None, None));
        let tally = endpoint.tally().unwrap();
        assert!(tally.packets > 0, "{kind}: {tally:?}");
        assert_eq!((tally.no_room, tally.forgotten), (0, 0));
    }
}

#[tokio::test]
async fn the_delay_is_there_in_both_directions() {
    let mut listener = listener();
    for kind in ALL {
        let endpoint = endpoint("delay=60ms");
        let (client, server) = pair_under(&mut listener, &endpoint, kind).await;
        for _ in 0..3 {
            let took = round_trip(&client, &server).await;
            assert!(took >= Duration::from_millis(120), "{kind}: {took:?}");
        }
        if kind == Quic {
            assert!(client.rtt() >= Some(Duration::from_millis(120)));
        }
    }
}

#[tokio::test]
async fn nothing_arrives_where_everything_is_lost() {
    let mut listener = listener();
    for kind in ALL {
        let endpoint = endpoint("loss=100%");
        let offers = [offer(&listener, kind)];
        let options = ConnectOptions {
            timeout: Duration::from_millis(500),
            ..options(&endpoint, kind)
        };
        let connecting = connect(&offers, hello(), options).await;
        assert!(matches!(connecting, Err(ConnectError::TimedOut)), "{kind}");
        assert_eq!(listener.events().arrivals(), 0);
        let tally = endpoint.tally().unwrap();
        assert!(tally.packets > 0, "{kind}");
    }
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_share_of_datagrams_is_lost_and_a_share_comes_twice() {
    let mut listener = listener();
    let endpoint = endpoint("loss=20%,duplicate=20%");
    let (client, server) = pair_under(&mut listener, &endpoint, Quic).await;
    let mut arrived = 0;
    for number in 0..500_u32 {
        client
            .send(Bytes::copy_from_slice(&number.to_be_bytes()))
            .unwrap();
        // A tick apart, so that each is a packet of its own.
        let next = timeout(Duration::from_millis(4), server.receive()).await;
        arrived += usize::from(next.is_ok());
    }
    // QUIC takes a packet once, however often it arrives.
    assert!((350..450).contains(&arrived), "{arrived} of 500");
    let Tally {
        packets,
        lost,
        duplicated,
        ..
    } = endpoint.tally().unwrap();
    assert!(
        (0.1..0.3).contains(&(lost as f64 / packets as f64)),
        "{lost} of {packets}"
    );
    assert!(duplicated > packets / 10, "{duplicated} of {packets}");
}

#[tokio::test]
async fn a_rate_is_kept_and_what_is_more_is_dropped_and_counted() {
    let mut listener = listener();
    let endpoint = endpoint("rate=50kB/s");
    let (client, server) = pair_under(&mut listener, &endpoint, WebSocket).await;
    let began = Instant::now();
    for number in 0..50_u8 {
        server
            .send_reliable(Bytes::from(vec![number; 1_000]))
            .unwrap();
    }
    for number in 0..50_u8 {
        assert_eq!(next_frame(&client).await, vec![number; 1_000]);
    }
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    let (client, server) = pair_under(&mut listener, &endpoint, Quic).await;
    // Far more than 200 ms take, at once; so much fits into QUIC's first window.
    for _ in 0..14 {
        server.send(Bytes::from(vec![1; 1_000])).unwrap();
    }
    eventually(|| endpoint.tally().unwrap().over_rate > 0).await;
    assert!(within(client.receive()).await.is_some());
}

#[tokio::test]
async fn many_connections_with_conditions_share_one_socket() {
    let mut listener = listener();
    let endpoint = endpoint("mobile");
    let mut pairs = Vec::new();
    for _ in 0..20 {
        pairs.push(pair_under(&mut listener, &endpoint, Quic).await);
    }
    for (client, server) in &pairs {
        assert_flows(client, server, b"input").await;
    }
    for (client, server) in pairs {
        client.close(CloseCode::Consented, "");
        within(server.wait_closed()).await;
    }
    // Held packets do not keep an endpoint from its end.
    within(endpoint.wait_idle()).await;
}

#[tokio::test]
async fn without_conditions_nothing_is_in_the_way() {
    assert_eq!(endpoint("none").tally(), None);
    assert_eq!(ClientEndpoint::bind().unwrap().tally(), None);
}
