//! A welcomed connection, as the simulation sees it: the same on both ends and on every carrier.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use crate::close::{CloseCode, CloseReason};
pub use crate::events::LinkStats;
use crate::link::Link;

/// One end of a game connection. Clones share the link; when the last one is dropped the link is
/// closed as [`CloseCode::Consented`].
///
/// Nothing here waits but [`Connection::wait_closed`] and [`Connection::receive`], so a simulation
/// thread without a runtime can hold one. Datagrams may be lost, doubled by the network or
/// overtaken; on both ends the oldest is dropped when a queue is full.
#[derive(Debug, Clone)]
pub struct Connection {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    link: Arc<Link>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.close(CloseCode::Consented, "");
    }
}

/// A payload that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It does not fit a datagram.
    #[error("{size} bytes are more than a datagram's {size_max}")]
    TooLarge {
        /// The payload's bytes.
        size: usize,
        /// What fits.
        size_max: usize,
    },
    /// The connection has ended.
    #[error("the connection is closed")]
    Closed,
}

impl Connection {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            handle: Arc::new(Handle { link }),
        }
    }

    fn link(&self) -> &Link {
        &self.handle.link
    }

    /// The carrier.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        self.link().config().kind
    }

    /// The peer's address when it connected. Not for logs.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.link().config().peer
    }

    /// Largest payload in bytes that [`Self::send`] takes.
    #[must_use]
    pub fn datagram_size_max(&self) -> usize {
        self.link().config().datagram_size_max
    }

    /// Queues a payload to be sent once, without any promise that it arrives. When the queue is
    /// full its oldest payload is dropped and counted; a queue that keeps overflowing for
    /// [`crate::limits::SLOW_CONSUMER_AFTER`] ends the connection as
    /// [`CloseCode::SlowConsumer`].
    ///
    /// # Errors
    ///
    /// The payload is too large, or the connection has ended.
    pub fn send(&self, payload: Bytes) -> Result<(), SendError> {
        self.link().send(payload)
    }

    /// Takes the oldest payload that was received. What came before the end can still be taken
    /// after it.
    #[must_use]
    pub fn try_recv(&self) -> Option<Bytes> {
        self.link().try_receive()
    }

    /// Waits for a payload; none when the connection has ended and everything was taken. For
    /// programs without a frame loop. Only one task may wait at a time.
    pub async fn receive(&self) -> Option<Bytes> {
        self.link().receive().await
    }

    /// Ends the connection. What is still queued is not sent. The first end counts.
    pub fn close(&self, code: CloseCode, text: &str) {
        self.link().close(code, text);
    }

    /// How the connection ended; none while it lives.
    #[must_use]
    pub fn closed(&self) -> Option<CloseReason> {
        self.link().closed()
    }

    /// Waits for the end.
    pub async fn wait_closed(&self) -> CloseReason {
        self.link().wait_closed().await
    }

    /// Round trip time: QUIC's estimate, or the last answered WebSocket ping.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.link().round_trip()
    }

    /// What went over this link so far.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        self.link().stats()
    }
}
