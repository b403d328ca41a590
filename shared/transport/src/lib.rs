//! Hello and Welcome, framing, and the QUIC, WebTransport and WebSocket ends of a game connection,
//! with a bound on every queue.
//!
//! Both sides use it: the instance's gateway through [`listener::Listener`], clients and bots
//! through [`connect::connect`]. What both get is a [`connection::Connection`]: datagrams in and
//! out, without waiting, so that a simulation thread can hold it. The crate knows no Bevy, checks
//! no ticket and reads no wall clock; the monotonic clock serves its deadlines only.
//!
//! Reading order: [`frame`] (the bytes), [`close`] (why connections end), [`limits`] (every
//! number), [`queue`], [`connection`], then the two ends [`listener`] and [`connect`]. Clients
//! that want a bad network get one from [`conditions`].

pub mod frame;

pub mod close;

pub mod limits;

mod unsent;

pub mod queue;

mod reliable;

mod inflow;

mod addresses;

pub mod events;

pub mod connection;

mod datagrams;

mod link;

pub mod certificate;

pub mod rotation;

mod stream;

mod congestion;

mod ack_delay;

mod unproven;

mod quic;

pub mod origins;

mod webtransport;

mod json;

mod encoding;

mod pulse;

mod socket;

mod mailbox;

mod keeper;

mod no_websocket;

mod websocket;

pub mod listener;

pub mod arrival;
mod attendant;

mod sockets;

pub mod conditions;

pub mod connect;

mod race;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

#[cfg(test)]
mod tests;
