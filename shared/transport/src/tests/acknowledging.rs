//! What acknowledgements cost on a near server, over a real socket.

use std::time::Duration;

use bytes::Bytes;
use quinn::Endpoint;
use tokio::time::interval;

use super::harness::*;
use crate::limits::{ALPN, IDLE_TIMEOUT};
use crate::quic::config::server_config;

/// A player sends so often, and gets a snapshot for every third input, as at 60 and 20 Hz.
const INPUT_EVERY: Duration = Duration::from_millis(16);
const INPUTS_PER_SNAPSHOT: u32 = 3;
const SNAPSHOTS: u32 = 30;

#[tokio::test]
async fn acknowledgements_travel_with_what_is_sent_anyway() {
    let (client, server) = raw_pair().await;
    let payload = || Bytes::from_static(b"state");
    let mut inputs = interval(INPUT_EVERY);
    let before = packets_sent(&server);
    for number in 1..=SNAPSHOTS * INPUTS_PER_SNAPSHOT {
        inputs.tick().await;
        client.send_datagram(payload()).unwrap();
        if number % INPUTS_PER_SNAPSHOT == 0 {
            server.send_datagram(payload()).unwrap();
        }
    }
    let alone = packets_sent(&server) - before - u64::from(SNAPSHOTS);
    // Some belong to the beginning, and some to a machine that was too slow. With quinn's own delay
    // there is one beside each snapshot.
    assert!(alone < u64::from(SNAPSHOTS) / 2, "{alone} of {SNAPSHOTS}");
}

fn packets_sent(connection: &quinn::Connection) -> u64 {
    connection.stats().udp_tx.datagrams
}

/// Both ends of a connection that nobody attends.
async fn raw_pair() -> (quinn::Connection, quinn::Connection) {
    let certificate = certificate();
    let config = server_config(&certificate, IDLE_TIMEOUT).unwrap();
    let endpoint = Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
    let address = endpoint.local_addr().unwrap();
    let dial = dial_raw(address, certificate.sha256(), ALPN);
    let accept = async { endpoint.accept().await.unwrap().await.unwrap() };
    within(async { tokio::join!(dial, accept) }).await
}
