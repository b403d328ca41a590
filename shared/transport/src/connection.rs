//! A welcomed connection, as the simulation sees it: the same on both ends and on every carrier. It
//! knows the link and nothing below it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use crate::close::{CloseCode, CloseReason};
pub use crate::error::SendError;
pub use crate::events::LinkStats;
use crate::frame::Mode;
use crate::link::Link;

/// One end of a game connection. Clones share the link; when the last one is dropped the link is
/// closed as [`CloseCode::Consented`].
///
/// Nothing here waits but [`Connection::wait_closed`], [`Connection::receive`] and
/// [`Connection::receive_reliable`], so a simulation thread without a runtime can hold one.
/// Datagrams may be lost, doubled by the network or overtaken; on both ends the oldest is dropped
/// when a queue is full. Reliable frames, which thin mode has, arrive once and in order.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Here as well as in the handle, which would be one more line of memory to wait for.
    link: Arc<Link>,
    _handle: Arc<Handle>,
}

/// Ends the link when its last clone is dropped.
#[derive(Debug)]
struct Handle(Arc<Link>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close_as_unused();
    }
}

impl Connection {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            _handle: Arc::new(Handle(Arc::clone(&link))),
            link,
        }
    }

    fn link(&self) -> &Link {
        &self.link
    }

    #[cfg(test)]
    pub(crate) fn weak_link(&self) -> std::sync::Weak<Link> {
        Arc::downgrade(&self.link)
    }

    /// The carrier.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        self.link().kind()
    }

    /// What the two ends speak.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.link().config().mode
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

    /// Queues a payload of which only the newest matters, such as a snapshot: those sent by this
    /// method that still wait after [`crate::limits::LATEST_AGE_MAX`] (on QUIC
    /// [`crate::limits::LATEST_AGE_MAX_QUIC`]) are replaced, which [`LinkStats::replaced_out`]
    /// counts. A peer that takes nothing at all for [`crate::limits::SLOW_CONSUMER_AFTER`] is
    /// closed as [`CloseCode::SlowConsumer`].
    ///
    /// # Errors
    ///
    /// The payload is too large, or the connection has ended.
    pub fn send_latest(&self, payload: Bytes) -> Result<(), SendError> {
        self.link().send_latest(payload)
    }

    /// Queues a frame that arrives once, after the reliable frames before it. Thin mode only. As
    /// none may be left out, a queue with [`crate::limits::RELIABLE_FRAMES_MAX`] frames or
    /// [`crate::limits::RELIABLE_BYTES_MAX`] bytes closes the connection at once as
    /// [`CloseCode::SlowConsumer`]; look at [`Self::reliable_backlog`] before.
    ///
    /// # Errors
    ///
    /// The frame has more than [`crate::limits::RELIABLE_FRAME_BYTES_MAX`] bytes (from a client
    /// [`crate::limits::CLIENT_FRAME_BYTES_MAX`]), the connection has ended, or it is native.
    pub fn send_reliable(&self, frame: Bytes) -> Result<(), SendError> {
        self.link().send_reliable(frame)
    }

    /// Bytes of reliable frames that the carrier has not taken yet.
    #[must_use]
    pub fn reliable_backlog(&self) -> usize {
        self.link().reliable_backlog()
    }

    /// Takes the oldest payload that was received. What came before the end can still be taken
    /// after it.
    ///
    /// WebSocket has one order for everything: in thin mode all that it brings comes out here,
    /// reliable frames too, nothing is dropped, and a peer whose payloads are not taken has to
    /// wait.
    #[must_use]
    pub fn try_recv(&self) -> Option<Bytes> {
        self.link().try_receive()
    }

    /// Waits for a payload; none when the connection has ended and everything was taken. For
    /// programs without a frame loop. Only one task may wait at a time.
    pub async fn receive(&self) -> Option<Bytes> {
        self.link().receive().await
    }

    /// Takes the oldest reliable frame that was received. A peer whose frames are not taken has
    /// to wait. Over WebSocket they come out of [`Self::try_recv`] instead.
    #[must_use]
    pub fn try_recv_reliable(&self) -> Option<Bytes> {
        self.link().try_receive_reliable()
    }

    /// Waits for a reliable frame; none when the connection has ended and everything was taken.
    /// Over WebSocket they come out of [`Self::receive`] instead. Only one task may wait at a
    /// time.
    pub async fn receive_reliable(&self) -> Option<Bytes> {
        self.link().receive_reliable().await
    }

    /// Ends the connection. What is still queued is not sent. The first end counts.
    pub fn close(&self, code: CloseCode, text: &str) {
        self.link().close(code, text);
    }

    /// Ends the connection when its reliable frames have arrived, or were given
    /// [`crate::limits::CLOSE_DEADLINE`]. No more of them are accepted. The handles may be
    /// dropped.
    pub fn finish(&self, code: CloseCode, text: &str) {
        self.link().close_after_reliable(code, text);
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
