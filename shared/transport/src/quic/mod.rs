//! QUIC and WebTransport. Reading order: `config`, `dial` and `webtransport` (how a session comes
//! to be), `session`, `hello_stream`, `datagram_pump`, `sender`, `exchange`, then `carrier`;
//! `amplification`, `ack_delay` and `congestion` are about packets.

pub(crate) mod ack_delay;
pub(crate) mod amplification;
pub(crate) mod carrier;
pub(crate) mod config;
pub(crate) mod congestion;
pub(crate) mod datagram_pump;
pub(crate) mod dial;
pub(crate) mod exchange;
pub(crate) mod hello_stream;
pub(crate) mod sender;
pub(crate) mod session;
pub(crate) mod webtransport;
