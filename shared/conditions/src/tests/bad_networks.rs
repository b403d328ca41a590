//! Clients on bad networks, over real sockets: what is promised to them still holds, and what the
//! conditions say really happens.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use gameserver_contract::ids::{GameId, PlayerId, Seat};
use gameserver_contract::session::TransportKind::{self, Quic, WebSocket, WebTransport};
use gameserver_contract::session::{Role, TransportOffer};
use gameserver_transport::certificate::{LIFETIME, ServerCertificate};
use gameserver_transport::close::CloseCode;
use gameserver_transport::connect::{ConnectError, ConnectOptions, connect};
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::{Credential, Hello, Mode, Welcome};
use gameserver_transport::listener::{Listener, ListenerConfig};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{ConditionedEndpoint, PacketCounts};

/// Every transport, in the order that offers have.
const ALL: [TransportKind; 3] = [Quic, WebTransport, WebSocket];

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .expect("it should not take this long")
}

/// Waits for something that happens in another task and notifies nobody.
async fn eventually(condition: impl Fn() -> bool) {
    let happens = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    within(happens).await;
}

fn listener() -> Listener {
    // The hash is what counts here; the dates do not.
    let now = SystemTime::UNIX_EPOCH + LIFETIME;
    let certificate = ServerCertificate::self_signed(&["localhost".to_owned()], now).unwrap();
    Listener::bind(ListenerConfig::new(
        (Ipv4Addr::LOCALHOST, 0).into(),
        certificate,
    ))
    .unwrap()
}

fn offer(listener: &Listener, kind: TransportKind) -> TransportOffer {
    let scheme = match kind {
        Quic => "quic",
        WebTransport => "https",
        WebSocket => "ws",
    };
    TransportOffer {
        kind,
        url: format!("{scheme}://{}", listener.local_address()),
        certificate_sha256: Some(listener.certificate_sha256().to_owned()),
    }
}

fn hello() -> Hello {
    Hello::new(Mode::Thin, Credential::Ticket("ticket".to_owned()), "test")
}

fn welcome() -> Welcome {
    Welcome {
        connection: 1,
        player: PlayerId(Uuid::from_u128(2)),
        seat: Some(Seat(3)),
        role: Role::Player,
        tick_rate_hz: 60,
        snapshot_rate_hz: 20,
        resume_token: "resume".to_owned(),
        datagram_size_max: 1200,
        game: GameId::new("arena").unwrap(),
    }
}

/// Sends from one end until it arrives at the other: datagrams may be lost.
async fn assert_flows(from: &Connection, to: &Connection, payload: &'static [u8]) {
    let payload = Bytes::from_static(payload);
    for _ in 0..10 {
        from.send(payload.clone()).unwrap();
        if let Ok(received) = timeout(Duration::from_secs(2), to.receive()).await {
            assert_eq!(received.unwrap(), payload);
            return;
        }
    }
    panic!("ten datagrams were lost");
}

fn endpoint(conditions: &str) -> ConditionedEndpoint {
    ConditionedEndpoint::bind(conditions.parse().unwrap(), 7).unwrap()
}

fn options(endpoint: &ConditionedEndpoint, kind: TransportKind) -> ConnectOptions {
    ConnectOptions {
        only: Some(kind),
        endpoint: Some(endpoint.endpoint().clone()),
        ..ConnectOptions::default()
    }
}

/// A client under conditions, and the server's end of its connection.
async fn pair_under(
    listener: &mut Listener,
    endpoint: &ConditionedEndpoint,
    kind: TransportKind,
) -> (Connection, Connection) {
    let offers = [offer(listener, kind)];
    let serve = async {
        let client = within(listener.accept()).await.unwrap();
        client.welcome(welcome()).unwrap()
    };
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
        let counts = endpoint.counts().unwrap();
        assert!(counts.packets > 0, "{kind}: {counts:?}");
        assert_eq!((counts.no_room, counts.forgotten), (0, 0));
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
        let counts = endpoint.counts().unwrap();
        assert!(counts.packets > 0, "{kind}");
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
    let PacketCounts {
        packets,
        lost,
        duplicated,
        ..
    } = endpoint.counts().unwrap();
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
    eventually(|| endpoint.counts().unwrap().over_rate > 0).await;
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
    within(endpoint.endpoint().wait_idle()).await;
}

#[tokio::test]
async fn without_conditions_nothing_is_in_the_way() {
    assert_eq!(endpoint("none").counts(), None);
}
