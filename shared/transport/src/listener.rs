//! The server's door: QUIC, WebTransport and WebSocket on one port number, and only clients with a
//! readable Hello come through.
//!
//! Each handshake runs in a task of its own with a deadline, and there are only so many at once.
//! Whatever a peer sends or the operating system refuses, the accept loops go on.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, EndpointConfig, Incoming, Runtime as _, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::addresses::Addresses;
pub use crate::addresses::Loopback;
pub use crate::arrival::Arrival;
use crate::arrival::{Carrier, Hall, Visit, VisitOfAddress};
use crate::attendant::{AttendedRuntime, attended};
use crate::certificate::{IdentityError, ServerCertificate};
use crate::close::{CloseCode, CloseReason, RefusalCode};
use crate::events::{Events, Incident};
use crate::frame::Refused;
use crate::limits::{
    ACCEPT_BACKOFF, ARRIVALS_QUEUED_MAX, CLOSE_DEADLINE, CONNECTIONS_PER_ADDRESS_MAX,
    HANDSHAKE_DEADLINE, HELLO_DEADLINE, IDLE_TIMEOUT, PENDING_MAX, PENDING_PER_ADDRESS_MAX,
    RETRY_AFTER, SLOW_CONSUMER_AFTER, UNSENT_BYTES_MAX, UNVALIDATED_MAX,
    UNVALIDATED_PER_SECOND_MAX,
};
use crate::mailbox::PostOffice;
use crate::origins::Origins;
use crate::quic::QuicSession;
use crate::unproven::ProvingSocket;
use crate::{quic, sockets, websocket, webtransport};

/// Where and how to listen. The numbers are those of [`crate::limits`] unless changed.
#[derive(Debug)]
pub struct ListenerConfig {
    /// Address for UDP and TCP. Port 0 means any port that is free for both.
    pub address: SocketAddr,
    /// Who the server is, on QUIC and WebTransport.
    pub certificate: ServerCertificate,
    /// Time for the TLS or HTTP handshake.
    pub handshake_deadline: Duration,
    /// Time for the Hello after it.
    pub hello_deadline: Duration,
    /// Silence after which a connection is over.
    pub idle_timeout: Duration,
    /// How long an outgoing queue may keep overflowing.
    pub slow_consumer_after: Duration,
    /// Handshakes and unanswered arrivals at once.
    pub pending_max: usize,
    /// The same of one address; 0 is no limit.
    pub pending_per_address_max: usize,
    /// Connections of one address, pending ones included; 0 is no limit.
    pub connections_per_address_max: usize,
    /// Whether clients of this machine count for their address.
    pub loopback: Loopback,
    /// Whose addresses TCP shows.
    pub tcp_peers: TcpPeers,
    /// Bytes that may wait to be sent on all connections before each has its share only.
    pub unsent_max: usize,
    /// QUIC handshakes of unproven addresses at once; with more, addresses have to be proven.
    pub unvalidated_max: usize,
    /// Web pages that may connect. Any unless changed.
    pub origins: Origins,
    /// Arrivals that wait to be taken by [`Listener::accept`].
    pub arrivals_queued_max: usize,
}

/// Whose addresses TCP shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpPeers {
    /// Those of clients: they count.
    Clients,
    /// Those of proxies, which stand for many clients: they do not count.
    Proxies,
}

impl ListenerConfig {
    /// Listens there with the ordinary limits.
    #[must_use]
    pub fn new(address: SocketAddr, certificate: ServerCertificate) -> Self {
        Self {
            address,
            certificate,
            handshake_deadline: HANDSHAKE_DEADLINE,
            hello_deadline: HELLO_DEADLINE,
            idle_timeout: IDLE_TIMEOUT,
            slow_consumer_after: SLOW_CONSUMER_AFTER,
            pending_max: PENDING_MAX,
            pending_per_address_max: PENDING_PER_ADDRESS_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            loopback: Loopback::Exempt,
            tcp_peers: TcpPeers::Clients,
            unsent_max: UNSENT_BYTES_MAX,
            unvalidated_max: UNVALIDATED_MAX,
            origins: Origins::Any,
            arrivals_queued_max: ARRIVALS_QUEUED_MAX,
        }
    }
}

/// A listener that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, or the system refuses.
    #[error("{address} cannot be bound: {source}")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] IdentityError),
}

/// An open door. Dropping it closes all its connections at once; [`Listener::close`] waits until
/// they have been told.
#[derive(Debug)]
pub struct Listener {
    local_address: SocketAddr,
    certificate_sha256: String,
    arrivals: mpsc::Receiver<Arrival>,
    endpoint: Endpoint,
    certificate_switch: CertificateSwitch,
    hall: Arc<Hall>,
    #[cfg(test)]
    addresses: Arc<Addresses>,
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
        let quic_config = quic::server_config(&config.certificate, config.idle_timeout)?;
        let (udp, tcp) = sockets::bind_pair(address).map_err(cannot_bind)?;
        let local_address = udp.local_addr().map_err(cannot_bind)?;
        let endpoint = open_endpoint(udp, quic_config.clone()).map_err(cannot_bind)?;
        let (queue, arrivals) = mpsc::channel(config.arrivals_queued_max);
        let door = Arc::new(Door::new(&config, queue));
        let hall = Arc::clone(&door.hall);
        hall.tasks
            .spawn(accept_quic(endpoint.clone(), Arc::clone(&door)));
        #[cfg(test)]
        let addresses = Arc::clone(&door.connections_of_address);
        hall.tasks.spawn(accept_tcp(tcp, door));
        for counter in 0..hall.office.counters() {
            let serve = Arc::clone(&hall.office).serve(counter);
            let stop = hall.stop.clone();
            hall.tasks
                .spawn(async move { stop.run_until_cancelled(serve).await.unwrap_or_default() });
        }
        Ok(Self {
            local_address,
            certificate_sha256: config.certificate.sha256().to_owned(),
            arrivals,
            certificate_switch: CertificateSwitch {
                endpoint: endpoint.clone(),
                config: quic_config,
            },
            endpoint,
            _stop_when_dropped: hall.stop.clone().drop_guard(),
            hall,
            #[cfg(test)]
            addresses,
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

    /// What serves another certificate from now on, from wherever.
    #[must_use]
    pub fn certificate_switch(&self) -> CertificateSwitch {
        self.certificate_switch.clone()
    }

    /// The counters of this listener and of its connections.
    #[must_use]
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.hall.events)
    }

    #[cfg(test)]
    pub(crate) fn is_full_for(&self, address: IpAddr) -> bool {
        self.addresses.is_full_for(address)
    }

    /// Waits for the next client with a readable Hello. Nobody is lost when the wait is given up.
    /// None never comes while the listener lives.
    pub async fn accept(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// Closes the door and every connection that came through it, as
    /// [`crate::close::CloseCode::Draining`], and waits until the peers have been told, but only
    /// so long.
    pub async fn close(mut self) {
        self.hall.stop.cancel();
        self.arrivals.close();
        while self.arrivals.recv().await.is_some() {}
        self.hall.tasks.close();
        let told = timeout(CLOSE_DEADLINE, self.hall.tasks.wait()).await;
        let reason = CloseReason::stopping();
        self.endpoint
            .close(reason.code.quic_code().into(), reason.text.as_bytes());
        let idle = timeout(CLOSE_DEADLINE, self.endpoint.wait_idle()).await;
        if told.is_err() || idle.is_err() {
            debug!("some peers did not hear that the listener closed");
        }
    }
}

fn open_endpoint(udp: UdpSocket, config: ServerConfig) -> io::Result<Endpoint> {
    let socket = ProvingSocket::new(AttendedRuntime.wrap_udp_socket(udp)?);
    Endpoint::new_with_abstract_socket(
        EndpointConfig::default(),
        Some(config),
        socket,
        Arc::new(AttendedRuntime),
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
        config.crypto = quic::server_crypto(certificate)?;
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }
}

/// What the accept loops and the handshakes share.
#[derive(Debug)]
struct Door {
    hall: Arc<Hall>,
    queue: mpsc::Sender<Arrival>,
    pending: Arc<Semaphore>,
    pending_of_address: Arc<Addresses>,
    connections_of_address: Arc<Addresses>,
    unvalidated: Arc<Semaphore>,
    tcp_peers: TcpPeers,
    handshake_deadline: Duration,
    hello_deadline: Duration,
    origins: Origins,
}

impl Door {
    fn new(config: &ListenerConfig, queue: mpsc::Sender<Arrival>) -> Self {
        Self {
            hall: Arc::new(Hall {
                events: Arc::default(),
                idle_timeout: config.idle_timeout,
                slow_consumer_after: config.slow_consumer_after,
                unsent_max: config.unsent_max,
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                office: PostOffice::with_counters(Handle::current().metrics().num_workers()),
                runtime: Handle::current(),
            }),
            queue,
            pending: Arc::new(Semaphore::new(config.pending_max)),
            pending_of_address: Addresses::new(config.pending_per_address_max, config.loopback),
            connections_of_address: Addresses::new(
                config.connections_per_address_max,
                config.loopback,
            ),
            unvalidated: Arc::new(Semaphore::new(config.unvalidated_max)),
            tcp_peers: config.tcp_peers,
            handshake_deadline: config.handshake_deadline,
            hello_deadline: config.hello_deadline,
            origins: config.origins.clone(),
        }
    }

    fn count(&self, incident: Incident) {
        self.hall.events.count(incident);
    }

    /// The right to be at the door; none when too many are already, which is counted.
    fn try_enter(&self) -> Option<Visit> {
        let Ok(pending) = Arc::clone(&self.pending).try_acquire_owned() else {
            self.count(Incident::PendingFull);
            return None;
        };
        Some(Visit {
            _pending: pending,
            of_address: None,
        })
    }

    /// The same for who proved their address.
    fn try_enter_from(&self, address: IpAddr) -> Option<Visit> {
        // First, because it tells more.
        let of_address = self.try_take_place(address)?;
        Some(Visit {
            of_address: Some(of_address),
            ..self.try_enter()?
        })
    }

    /// A place of this address; none when it has as many as it may, which is counted.
    fn try_take_place(&self, address: IpAddr) -> Option<VisitOfAddress> {
        let visit = || {
            Some(VisitOfAddress {
                _pending: self.pending_of_address.try_enter(address)?,
                connection: self.connections_of_address.try_enter(address)?,
            })
        };
        let visit = visit();
        if visit.is_none() {
            self.count(Incident::AddressFull);
        }
        visit
    }

    /// True when an address has as many connections as it may.
    fn is_full_for(&self, address: IpAddr) -> bool {
        self.pending_of_address.is_full_for(address)
            || self.connections_of_address.is_full_for(address)
    }

    /// Runs a handshake in a task of its own, until the listener closes.
    fn spawn(&self, handshake: impl Future<Output = ()> + Send + 'static) {
        let stop = self.hall.stop.clone();
        self.hall.tasks.spawn(async move {
            let _ = stop.run_until_cancelled(handshake).await;
        });
    }

    /// Reads the Hello and hands the client over, or says why not.
    async fn receive(&self, mut carrier: Carrier, peer: SocketAddr, visit: Visit) {
        let events = &self.hall.events;
        let hello = match timeout(self.hello_deadline, carrier.read_hello()).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(error)) => match error.refusal() {
                Some(refused) => return carrier.refuse(refused, events).await,
                None => return self.count(Incident::HelloAbandoned),
            },
            Err(_) => {
                let text = "the Hello did not come in time";
                let refused = Refused::for_now(RefusalCode::Timeout, text, RETRY_AFTER);
                return carrier.refuse(refused, events).await;
            }
        };
        events.count_arrival();
        let peer = sockets::canonical(peer);
        let arrival = Arrival {
            hello,
            peer,
            carrier,
            hall: Arc::clone(&self.hall),
            visit,
        };
        if let Err(TrySendError::Full(arrival)) = self.queue.try_send(arrival) {
            let text = "too many players arrive at once";
            let refused = Refused::for_now(RefusalCode::Busy, text, RETRY_AFTER);
            arrival.refuse(refused).await;
        }
    }
}

async fn accept_quic(endpoint: Endpoint, door: Arc<Door>) {
    let mut recent = Recent::new();
    loop {
        let incoming = tokio::select! {
            () = door.hall.stop.cancelled() => return,
            incoming = endpoint.accept() => incoming,
        };
        // None means that the endpoint was closed.
        let Some(incoming) = incoming else { return };
        admit_quic(incoming, &door, &mut recent);
    }
}

/// Decides what becomes of a QUIC client's first packet.
fn admit_quic(incoming: Incoming, door: &Arc<Door>, recent: &mut Recent) {
    let address = incoming.remote_address().ip();
    let (visit, unproven) = if incoming.remote_address_validated() {
        (door.try_enter_from(address), None)
    } else {
        let permit = Arc::clone(&door.unvalidated).try_acquire_owned().ok();
        // Who is over the limit of their address has to prove that it is theirs before they are
        // told so.
        let needs_proof =
            permit.is_none() || !recent.admits_one_more() || door.is_full_for(address);
        if needs_proof && incoming.may_retry() {
            door.count(Incident::RetrySent);
            // It fails only for packets that may not be answered so, which was just asked.
            let _ = incoming.retry();
            return;
        }
        (door.try_enter(), permit)
    };
    match visit {
        Some(visit) => door.spawn(greet_quic(incoming, Arc::clone(door), visit, unproven)),
        None => incoming.refuse(),
    }
}

async fn greet_quic(
    incoming: Incoming,
    door: Arc<Door>,
    mut visit: Visit,
    unproven: Option<OwnedSemaphorePermit>,
) {
    let peer = incoming.remote_address();
    let handshake = async {
        let (connecting, attendant) = attended(|| incoming.accept());
        let connection = connecting.ok()?.await.ok()?;
        drop(unproven);
        // The handshake has proven the address.
        if visit.of_address.is_none() {
            visit.of_address = door.try_take_place(peer.ip());
            if visit.of_address.is_none() {
                let number = CloseCode::RateLimited.quic_code().into();
                connection.close(number, b"too many connections from this address");
                return None;
            }
        }
        if webtransport::is_chosen(&connection) {
            webtransport::accept(connection, &door.origins).await
        } else {
            Some(QuicSession::bare(connection, attendant))
        }
    };
    let Ok(Some(session)) = timeout(door.handshake_deadline, handshake).await else {
        return door.count(Incident::HandshakeFailed);
    };
    let end = quic::ServerEnd::new(session);
    let carrier = Carrier::Quic(Box::new(end));
    door.receive(carrier, peer, visit).await;
}

async fn accept_tcp(listener: TcpListener, door: Arc<Door>) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            () = door.hall.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                // Excess is closed unread: an answer would cost what there is too little of.
                let visit = match door.tcp_peers {
                    TcpPeers::Clients => door.try_enter_from(peer.ip()),
                    TcpPeers::Proxies => door.try_enter(),
                };
                if let Some(visit) = visit {
                    door.spawn(greet_websocket(stream, peer, Arc::clone(&door), visit));
                }
            }
            Err(error) => {
                door.count(Incident::AcceptFailed);
                // One line for each run of failures; the counter tells how many there are.
                if !std::mem::replace(&mut failing, true) {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the system hands out no connection; trying again"
                    );
                }
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn greet_websocket(stream: TcpStream, peer: SocketAddr, door: Arc<Door>, visit: Visit) {
    let handshake = websocket::ServerEnd::accept(stream, &door.origins);
    let Ok(Ok(end)) = timeout(door.handshake_deadline, handshake).await else {
        return door.count(Incident::HandshakeFailed);
    };
    door.receive(Carrier::WebSocket(Box::new(end)), peer, visit)
        .await;
}

/// Counts handshakes of unproven addresses by the second.
struct Recent {
    since: Instant,
    handshakes: u32,
}

impl Recent {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            handshakes: 0,
        }
    }

    fn admits_one_more(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.handshakes = self.handshakes.saturating_add(1);
        self.handshakes <= UNVALIDATED_PER_SECOND_MAX
    }
}
