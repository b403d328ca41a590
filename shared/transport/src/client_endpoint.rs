//! Holds what many connections of a client share, and the hook for what may be between them and the
//! network. It dials nothing.

use std::sync::Arc;
use std::{fmt, io};

use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Runtime as _};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_util::either::Either;

use crate::quic::datagram_pump::PumpedRuntime;
use crate::sockets;
use crate::websocket::byte_stream::ClientStream;
use crate::websocket::send_queue::WriterPool;

/// Sits between a client's sockets and the network: for tests of bad networks.
pub trait ClientNetwork: fmt::Debug + Send + Sync {
    /// The UDP socket to use instead of this one.
    fn wrap_udp(&self, socket: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket>;

    /// The stream to use instead of this connection.
    fn wrap_tcp(&self, stream: TcpStream) -> DuplexStream;
}

/// What many connections share, because a thousand bots need it once: the UDP socket of QUIC, what
/// writes to each WebSocket, and what is between them and the network.
#[derive(Debug, Clone)]
pub struct ClientEndpoint {
    pub(crate) endpoint: Endpoint,
    pub(crate) writers: Arc<WriterPool>,
    network: Option<Arc<dyn ClientNetwork>>,
}

impl ClientEndpoint {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn bind() -> io::Result<Self> {
        let config = EndpointConfig::default();
        let socket = sockets::bind_client()?;
        Ok(Self {
            endpoint: Endpoint::new(config, None, socket, Arc::new(PumpedRuntime))?,
            writers: WriterPool::spawn(1),
            network: None,
        })
    }

    /// Opens the socket; every connection goes through this: QUIC, WebTransport and WebSocket.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn bind_through(network: Arc<dyn ClientNetwork>) -> io::Result<Self> {
        let socket = PumpedRuntime.wrap_udp_socket(sockets::bind_client()?)?;
        let endpoint = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            network.wrap_udp(socket),
            Arc::new(PumpedRuntime),
        )?;
        Ok(Self {
            endpoint,
            writers: WriterPool::spawn(1),
            network: Some(network),
        })
    }

    /// Waits until the last words of all closed connections are sent, which a process does
    /// before it ends.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }

    /// The stream that a WebSocket runs on.
    pub(crate) fn stream(&self, stream: TcpStream) -> ClientStream {
        match &self.network {
            Some(network) => Either::Right(network.wrap_tcp(stream)),
            None => Either::Left(stream),
        }
    }
}
