//! What both ends do over a carrier, whichever it is: Hello and answer, then a link. It knows no
//! carrier; QUIC, WebTransport and WebSocket implement it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use tokio_util::sync::CancellationToken;

use crate::error::{ConnectError, ReadFrameError};
use crate::frame::{Answer, Hello, Mode, Refused};
use crate::link::{Link, LinkConfig};

/// How a link over a carrier begins and ends.
#[derive(Debug)]
pub(crate) struct LinkLife {
    /// What is sent ahead of everything else: a server's answer.
    pub(crate) first: Option<Bytes>,
    /// Silence after which the link is over. QUIC has its own from its handshake.
    pub(crate) idle_timeout: Duration,
    /// Ends the link as [`CloseCode::Draining`](crate::close::CloseCode::Draining).
    pub(crate) stop: CancellationToken,
}

/// A connection whose handshakes are over, at either end.
pub(crate) trait Carrier: Sized {
    /// Which carrier it is.
    fn kind(&self) -> TransportKind;

    /// The other end's address.
    fn peer(&self) -> SocketAddr;

    /// Largest payload in bytes that it takes as a datagram.
    fn datagram_size_max(&self) -> usize;

    /// Reads the Hello, at the server's end.
    async fn read_hello(&mut self) -> Result<Hello, ReadFrameError>;

    /// Sends the Hello and reads the answer, at the client's end.
    async fn send_hello(&mut self, hello: Vec<u8>, mode: Mode) -> Result<Answer, ConnectError>;

    /// Delivers a refusal, then closes, at the server's end.
    async fn refuse(self, refused: &Refused, answer: Vec<u8>);

    /// Closes after a refusal, at the client's end.
    async fn leave(self);

    /// Makes it a link. Returns the link and the task that serves it until it ends.
    fn open(
        self,
        config: LinkConfig,
        life: LinkLife,
    ) -> (Arc<Link>, impl Future<Output = ()> + Send + 'static);
}
