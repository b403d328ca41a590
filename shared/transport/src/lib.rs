//! Hello and Welcome, framing, and the QUIC, WebTransport and WebSocket ends of a game connection,
//! with a bound on every queue.
//!
//! Both sides use it: the instance's gateway through [`listener::Listener`], clients and bots
//! through [`connect::connect`]. What both get is a [`connection::Connection`]: datagrams in and
//! out, without waiting, so that a simulation thread can hold it. The crate knows no Bevy, checks
//! no ticket and reads no wall clock; the monotonic clock serves its deadlines only.
//!
//! Reading order: [`frame`] (the bytes), [`close`] (why connections end), [`limits`] (every
//! number), [`queue`], `link` and [`connection`], `carrier` (what a carrier has to do) and the
//! carriers `quic` and `websocket`, then the two ends [`listener`] and [`connect`]. Clients that
//! want a bad network pass a [`connect::ClientNetwork`]; the crate `gameserver-conditions` has one.

pub mod frame;

pub mod close;

pub mod limits;

mod unsent_bytes;

pub mod queue;

mod reliable;

mod rate_limit;

pub mod events;

mod error;

mod datagram_sender;

mod any_sender;

mod link;

pub mod connection;

mod carrier;

pub mod certificate;

pub mod rotation;

pub mod origins;

mod sockets;

mod race;

mod quic;

mod websocket;

mod any_carrier;

mod address_limits;

mod listener_config;

mod listener_state;

mod pending_connection;

mod acceptor;

pub mod listener;

mod client_endpoint;

mod dial;

pub mod connect;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

#[cfg(test)]
mod tests;
