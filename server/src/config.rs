//! Every setting of an instance, parsed once and never changed after the start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gameserver_contract::ids::InstanceId;
use gameserver_control::secret::ControlSecret;
pub use gameserver_transport::origins::{InvalidOrigin, Origins};

pub use crate::host::BudgetMax;
pub use crate::public_address::{
    InvalidPathPrefix, InvalidPublicHost, PathPrefix, PublicAddress, PublicHost,
};

/// The configuration of an instance.
#[derive(Debug, Clone)]
pub struct InstanceConfig {
    /// Its name in the registry; when absent the one that its log folder remembers, without a
    /// folder a new one.
    pub id: Option<InstanceId>,
    /// Address of the game port: UDP for QUIC, TCP for WebSocket, the same number. Port 0 means
    /// any that is free for both.
    pub game_address: SocketAddr,
    /// Where players reach the game port, when it is not where it listens (containers, NAT,
    /// proxies).
    pub public: PublicAddress,
    /// Whether a proxy with a certificate stands in front of the TCP port.
    pub websocket_tls: WebSocketTls,
    /// Web pages that may connect.
    pub origins: Origins,
    /// Connections of one address on the game port; 0 is no limit. Clients of the same machine do
    /// not count, and neither do those that come through a proxy. Default 256.
    pub connections_per_address_max: usize,
    /// Certificate of the QUIC end; self-signed and pinned by its hash when absent.
    pub certificate: Option<CertificateFiles>,
    /// Address of the control service.
    pub control_address: SocketAddr,
    /// URL that web-api reaches the control service by; made from the bound address when absent.
    pub control_url: Option<String>,
    /// URL of web-api's registry.
    pub registry_url: String,
    /// The secret shared with web-api.
    pub control_secret: ControlSecret,
    /// Region that the lobby lists this instance under.
    pub region: String,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Matches at once.
    pub matches_max: usize,
    /// Players at once, in all matches.
    pub players_max: usize,
    /// Share of the processors, of a worker's time and of a tick's length above which nobody new is
    /// admitted. Default 0.9.
    pub budget_max: BudgetMax,
    /// How long a seat is held for a player whose connection broke. Default 30 s.
    pub resume_window: Duration,
    /// Folder for match logs, this instance's alone; matches are not recorded when absent.
    pub log_folder: Option<PathBuf>,
    /// Bytes of match logs that are kept, not counting running matches. Default 1 GiB.
    pub log_folder_bytes_max: u64,
}

/// Who speaks TLS on the WebSocket port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebSocketTls {
    /// Nobody: offers contain `ws://`. For development and private networks.
    #[default]
    Plain,
    /// A proxy in front: offers contain `wss://`.
    ByProxy,
}

/// A certificate in PEM files.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}
