//! A client's endpoint whose connections suffer conditions.

use std::io;
use std::sync::Arc;

use gameserver_transport::connect::{ClientEndpoint, ClientNetwork};
use quinn::AsyncUdpSocket;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;

use crate::conditioner::Conditioner;
use crate::counts::PacketCounts;
use crate::network_conditions::NetworkConditions;
use crate::tcp::relay;
use crate::udp::ConditionedSocket;

/// An endpoint that applies the same conditions to every connection: QUIC, WebTransport and
/// WebSocket.
#[derive(Debug, Clone)]
pub struct ConditionedEndpoint {
    endpoint: ClientEndpoint,
    conditioner: Option<Arc<Conditioner>>,
}

impl ConditionedEndpoint {
    /// Opens the socket. The same seed does the same to the same packets; their order is the
    /// network's.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn bind(conditions: NetworkConditions, seed: u64) -> io::Result<Self> {
        if conditions == NetworkConditions::NONE {
            return Ok(Self {
                endpoint: ClientEndpoint::bind()?,
                conditioner: None,
            });
        }
        let conditioner = Arc::new(Conditioner::new(conditions, seed));
        let network: Arc<dyn ClientNetwork> = Arc::<Conditioner>::clone(&conditioner);
        Ok(Self {
            endpoint: ClientEndpoint::bind_through(network)?,
            conditioner: Some(conditioner),
        })
    }

    /// The endpoint, for [`ConnectOptions`](gameserver_transport::connect::ConnectOptions).
    #[must_use]
    pub fn endpoint(&self) -> &ClientEndpoint {
        &self.endpoint
    }

    /// What the conditions did so far; none without any.
    #[must_use]
    pub fn counts(&self) -> Option<PacketCounts> {
        Some(self.conditioner.as_ref()?.counts())
    }
}

impl ClientNetwork for Conditioner {
    fn wrap_udp(&self, socket: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(ConditionedSocket::new(socket, self))
    }

    fn wrap_tcp(&self, stream: TcpStream) -> DuplexStream {
        relay(stream, self)
    }
}
