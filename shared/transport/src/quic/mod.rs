//! QUIC and WebTransport. Reading order: `config`, `webtransport` (its handshakes), `session`,
//! `hello_stream`, `datagram_pump`, `sender`, then `carrier`; `amplification`, `ack_delay` and
//! `congestion` are about packets.

pub(crate) mod ack_delay;
pub(crate) mod amplification;
pub(crate) mod carrier;
pub(crate) mod config;
pub(crate) mod congestion;
pub(crate) mod datagram_pump;
pub(crate) mod hello_stream;
pub(crate) mod sender;
pub(crate) mod session;
pub(crate) mod webtransport;
