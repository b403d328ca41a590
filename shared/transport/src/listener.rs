//! The server's listener: QUIC, WebTransport and WebSocket on one port number, and only clients
//! with a readable Hello come out of it. It checks no ticket.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, Runtime as _, ServerConfig};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tracing::debug;

use crate::acceptor::{Acceptor, accept_quic, accept_tcp};
#[cfg(test)]
use crate::address_limits::AddressLimits;
pub use crate::address_limits::Loopback;
use crate::certificate::{IdentityError, ServerCertificate};
use crate::close::CloseReason;
pub use crate::error::BindError;
use crate::events::Events;
use crate::limits::CLOSE_DEADLINE;
pub use crate::listener_config::{ListenerConfig, TcpPeers};
use crate::listener_state::ListenerState;
pub use crate::pending_connection::PendingConnection;
use crate::quic::amplification::AmplificationLimit;
use crate::quic::config::{server_config, server_crypto};
use crate::quic::datagram_pump::PumpedRuntime;
use crate::sockets;

/// Open sockets. Dropping it closes all its connections at once; [`Listener::close`] waits until
/// their peers know.
#[derive(Debug)]
pub struct Listener {
    local_address: SocketAddr,
    certificate_sha256: String,
    pending: mpsc::Receiver<PendingConnection>,
    endpoint: Endpoint,
    certificate_switch: CertificateSwitch,
    state: Arc<ListenerState>,
    #[cfg(test)]
    address_limits: Arc<AddressLimits>,
    _stop_when_dropped: DropGuard,
}

impl Listener {
    /// Opens both sockets and begins to accept.
    ///
    /// # Errors
    ///
    /// [`BindError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn bind(config: ListenerConfig) -> Result<Self, BindError> {
        let address = config.address;
        let cannot_bind = |source| BindError::Socket { address, source };
        let quic_config = server_config(&config.certificate, config.idle_timeout)?;
        let (udp, tcp) = sockets::bind_pair(address).map_err(cannot_bind)?;
        let local_address = udp.local_addr().map_err(cannot_bind)?;
        let endpoint = open_endpoint(udp, quic_config.clone()).map_err(cannot_bind)?;
        let (queue, pending) = mpsc::channel(config.arrivals_queued_max);
        let acceptor = Arc::new(Acceptor::new(&config, queue));
        let state = Arc::clone(&acceptor.listener);
        #[cfg(test)]
        let address_limits = Arc::clone(&acceptor.connections_of_address);
        let (quic, tcp) = (
            accept_quic(endpoint.clone(), Arc::clone(&acceptor)),
            accept_tcp(tcp, acceptor),
        );
        state.tasks.spawn(quic);
        state.tasks.spawn(tcp);
        Ok(Self {
            local_address,
            certificate_sha256: config.certificate.sha256().to_owned(),
            pending,
            certificate_switch: CertificateSwitch {
                endpoint: endpoint.clone(),
                config: quic_config,
            },
            endpoint,
            _stop_when_dropped: state.stop.clone().drop_guard(),
            state,
            #[cfg(test)]
            address_limits,
        })
    }

    /// The address of both sockets.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// SHA-256 of the certificate that it was opened with, in lower-case hex, for transport offers.
    #[must_use]
    pub fn certificate_sha256(&self) -> &str {
        &self.certificate_sha256
    }

    /// Changes the certificate, from wherever.
    #[must_use]
    pub fn certificate_switch(&self) -> CertificateSwitch {
        self.certificate_switch.clone()
    }

    /// The counters of this listener and of its connections.
    #[must_use]
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.state.events)
    }

    #[cfg(test)]
    pub(crate) fn is_full_for(&self, address: std::net::IpAddr) -> bool {
        self.address_limits.is_full_for(address)
    }

    /// Waits for the next client with a readable Hello. None is lost when the wait is given up, and
    /// there always is a next one while the listener lives.
    pub async fn accept(&mut self) -> Option<PendingConnection> {
        self.pending.recv().await
    }

    /// Stops listening and closes every connection, as
    /// [`crate::close::CloseCode::Draining`], and waits until the peers know, but only so long.
    pub async fn close(mut self) {
        self.state.stop.cancel();
        self.pending.close();
        while self.pending.recv().await.is_some() {}
        self.state.tasks.close();
        let ended = timeout(CLOSE_DEADLINE, self.state.tasks.wait()).await;
        let reason = CloseReason::stopping();
        self.endpoint
            .close(reason.code.quic_code().into(), reason.text.as_bytes());
        let idle = timeout(CLOSE_DEADLINE, self.endpoint.wait_idle()).await;
        if ended.is_err() || idle.is_err() {
            debug!("some peers may not know that the listener closed");
        }
    }
}

fn open_endpoint(udp: UdpSocket, config: ServerConfig) -> io::Result<Endpoint> {
    let socket = AmplificationLimit::new(PumpedRuntime.wrap_udp_socket(udp)?);
    Endpoint::new_with_abstract_socket(
        EndpointConfig::default(),
        Some(config),
        socket,
        Arc::new(PumpedRuntime),
    )
}

/// Changes the certificate of a listener that is open.
#[derive(Debug, Clone)]
pub struct CertificateSwitch {
    endpoint: Endpoint,
    config: ServerConfig,
}

impl CertificateSwitch {
    /// Serves this certificate to everybody who connects from now on. Connections live on.
    ///
    /// # Errors
    ///
    /// The certificate cannot be used; the old one stays.
    pub fn serve(&self, certificate: &ServerCertificate) -> Result<(), IdentityError> {
        // All else stays, the key of the Retry tokens too, so that those under way are taken.
        let mut config = self.config.clone();
        config.crypto = server_crypto(certificate)?;
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }
}
