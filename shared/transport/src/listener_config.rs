//! Where and how to listen. It opens nothing.

use std::net::SocketAddr;
use std::time::Duration;

use crate::address_limits::Loopback;
use crate::certificate::ServerCertificate;
use crate::limits::{
    ARRIVALS_QUEUED_MAX, CONNECTIONS_PER_ADDRESS_MAX, HANDSHAKE_DEADLINE, HELLO_DEADLINE,
    IDLE_TIMEOUT, PENDING_MAX, PENDING_PER_ADDRESS_MAX, SLOW_CONSUMER_AFTER, UNSENT_BYTES_MAX,
    UNVALIDATED_MAX,
};
use crate::origins::Origins;

/// Where and how to listen. The numbers are those of [`crate::limits`] unless changed.
#[derive(Debug)]
pub struct ListenerConfig {
    /// Address for UDP and TCP. Port 0 means any port that is free for both.
    pub address: SocketAddr,
    /// The server's identity on QUIC and WebTransport.
    pub certificate: ServerCertificate,
    /// Time for the TLS or HTTP handshake.
    pub handshake_deadline: Duration,
    /// Time for the Hello after it.
    pub hello_deadline: Duration,
    /// Silence after which a connection is over.
    pub idle_timeout: Duration,
    /// How long an outgoing queue may keep overflowing.
    pub slow_consumer_after: Duration,
    /// Handshakes and unanswered Hellos at once.
    pub pending_max: usize,
    /// The same of one address; 0 is no limit.
    pub pending_per_address_max: usize,
    /// Connections of one address, pending ones included; 0 is no limit.
    pub connections_per_address_max: usize,
    /// Whether clients of this machine count for their address.
    pub loopback: Loopback,
    /// Whose addresses TCP shows.
    pub tcp_peers: TcpPeers,
    /// Bytes that may wait to be sent on all connections before each has its share only.
    pub unsent_max: usize,
    /// QUIC handshakes of unproven addresses at once; with more, addresses have to be proven.
    pub unvalidated_max: usize,
    /// Web pages that may connect. Any unless changed.
    pub origins: Origins,
    /// Pending connections that wait for
    /// [`Listener::accept`](crate::listener::Listener::accept).
    pub arrivals_queued_max: usize,
}

/// Whose addresses TCP shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpPeers {
    /// Those of clients: they count.
    Clients,
    /// Those of proxies, which represent many clients: they do not count.
    Proxies,
}

impl ListenerConfig {
    /// Listens there with the ordinary limits.
    #[must_use]
    pub fn new(address: SocketAddr, certificate: ServerCertificate) -> Self {
        Self {
            address,
            certificate,
            handshake_deadline: HANDSHAKE_DEADLINE,
            hello_deadline: HELLO_DEADLINE,
            idle_timeout: IDLE_TIMEOUT,
            slow_consumer_after: SLOW_CONSUMER_AFTER,
            pending_max: PENDING_MAX,
            pending_per_address_max: PENDING_PER_ADDRESS_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            loopback: Loopback::Exempt,
            tcp_peers: TcpPeers::Clients,
            unsent_max: UNSENT_BYTES_MAX,
            unvalidated_max: UNVALIDATED_MAX,
            origins: Origins::Any,
            arrivals_queued_max: ARRIVALS_QUEUED_MAX,
        }
    }
}
