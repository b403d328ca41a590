//! Accepts connections: handshakes, the limits on how many there are, and the Hello.
//!
//! Each handshake runs in a task of its own with a deadline. Whatever a peer sends or the operating
//! system refuses, the accept loops go on. It checks no ticket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, Incoming};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::address_limits::AddressLimits;
use crate::any_carrier::AnyCarrier;
use crate::carrier::Carrier as _;
use crate::close::{CloseCode, RefusalCode};
use crate::events::Incident;
use crate::frame::Refused;
use crate::limits::{ACCEPT_BACKOFF, RETRY_AFTER, UNVALIDATED_PER_SECOND_MAX};
use crate::listener_config::{ListenerConfig, TcpPeers};
use crate::listener_state::ListenerState;
use crate::origins::Origins;
use crate::pending_connection::{AddressSlots, ListenerPermit, PendingConnection, refuse};
use crate::quic::carrier::QuicCarrier;
use crate::quic::datagram_pump::with_pump;
use crate::quic::session::QuicSession;
use crate::quic::webtransport;
use crate::websocket::carrier::WebSocketCarrier;
use crate::websocket::handshake;
use crate::websocket::send_queue::WriterPool;

/// What the accept loops and the handshakes share.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) listener: Arc<ListenerState>,
    queue: mpsc::Sender<PendingConnection>,
    pending: Arc<Semaphore>,
    pending_of_address: Arc<AddressLimits>,
    pub(crate) connections_of_address: Arc<AddressLimits>,
    unvalidated: Arc<Semaphore>,
    tcp_peers: TcpPeers,
    handshake_deadline: Duration,
    hello_deadline: Duration,
    origins: Origins,
}

impl Acceptor {
    /// In a tokio runtime.
    pub(crate) fn new(config: &ListenerConfig, queue: mpsc::Sender<PendingConnection>) -> Self {
        Self {
            listener: Arc::new(ListenerState {
                events: Arc::default(),
                idle_timeout: config.idle_timeout,
                slow_consumer_after: config.slow_consumer_after,
                unsent_max: config.unsent_max,
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                writers: WriterPool::spawn(Handle::current().metrics().num_workers()),
                runtime: Handle::current(),
            }),
            queue,
            pending: Arc::new(Semaphore::new(config.pending_max)),
            pending_of_address: AddressLimits::new(config.pending_per_address_max, config.loopback),
            connections_of_address: AddressLimits::new(
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
        self.listener.events.count(incident);
    }

    /// The right to be pending; none when too many are already, which is counted.
    fn try_permit(&self) -> Option<ListenerPermit> {
        let Ok(pending) = Arc::clone(&self.pending).try_acquire_owned() else {
            self.count(Incident::PendingFull);
            return None;
        };
        Some(ListenerPermit {
            _pending: pending,
            of_address: None,
        })
    }

    /// The same for an address that is proven.
    fn try_permit_for(&self, address: IpAddr) -> Option<ListenerPermit> {
        // First, because it is the more specific reason.
        let of_address = self.try_permit_address(address)?;
        Some(ListenerPermit {
            of_address: Some(of_address),
            ..self.try_permit()?
        })
    }

    /// What one more connection of this address takes; none when it has as many as it may, which
    /// is counted.
    fn try_permit_address(&self, address: IpAddr) -> Option<AddressSlots> {
        let permits = || {
            Some(AddressSlots {
                _pending: self.pending_of_address.try_enter(address)?,
                connection: self.connections_of_address.try_enter(address)?,
            })
        };
        let permits = permits();
        if permits.is_none() {
            self.count(Incident::AddressFull);
        }
        permits
    }

    /// True when an address has as many connections as it may.
    fn is_full_for(&self, address: IpAddr) -> bool {
        self.pending_of_address.is_full_for(address)
            || self.connections_of_address.is_full_for(address)
    }

    /// Runs a handshake in a task of its own, until the listener closes.
    fn spawn(&self, handshake: impl Future<Output = ()> + Send + 'static) {
        let stop = self.listener.stop.clone();
        self.listener.tasks.spawn(async move {
            let _ = stop.run_until_cancelled(handshake).await;
        });
    }

    /// Reads the Hello and hands the client over, or refuses it.
    async fn receive(&self, mut carrier: AnyCarrier, permit: ListenerPermit) {
        let events = &self.listener.events;
        let hello = match timeout(self.hello_deadline, carrier.read_hello()).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(error)) => match error.refusal() {
                Some(refused) => return refuse(carrier, refused, events).await,
                None => return self.count(Incident::HelloAbandoned),
            },
            Err(_) => {
                let text = "the Hello did not come in time";
                let refused = Refused::for_now(RefusalCode::Timeout, text, RETRY_AFTER);
                return refuse(carrier, refused, events).await;
            }
        };
        events.count_arrival();
        let pending = PendingConnection {
            hello,
            carrier,
            listener: Arc::clone(&self.listener),
            permit,
        };
        if let Err(TrySendError::Full(pending)) = self.queue.try_send(pending) {
            let text = "too many players arrive at once";
            let refused = Refused::for_now(RefusalCode::Busy, text, RETRY_AFTER);
            pending.refuse(refused).await;
        }
    }
}

/// Accepts QUIC and WebTransport until the listener closes.
pub(crate) async fn accept_quic(endpoint: Endpoint, acceptor: Arc<Acceptor>) {
    let mut rate = HandshakeRate::new();
    loop {
        let incoming = tokio::select! {
            () = acceptor.listener.stop.cancelled() => return,
            incoming = endpoint.accept() => incoming,
        };
        // None means that the endpoint was closed.
        let Some(incoming) = incoming else { return };
        admit_quic(incoming, &acceptor, &mut rate);
    }
}

/// Decides what becomes of a QUIC client's first packet.
fn admit_quic(incoming: Incoming, acceptor: &Arc<Acceptor>, rate: &mut HandshakeRate) {
    let address = incoming.remote_address().ip();
    let (permit, unproven) = if incoming.remote_address_validated() {
        (acceptor.try_permit_for(address), None)
    } else {
        let unproven = Arc::clone(&acceptor.unvalidated).try_acquire_owned().ok();
        // A client over the limit of its address has to prove the address before it learns so.
        let needs_proof =
            unproven.is_none() || !rate.admits_one_more() || acceptor.is_full_for(address);
        if needs_proof && incoming.may_retry() {
            acceptor.count(Incident::RetrySent);
            // It fails only for packets that may not be answered so, which was just asked.
            let _ = incoming.retry();
            return;
        }
        (acceptor.try_permit(), unproven)
    };
    match permit {
        Some(permit) => acceptor.spawn(handshake_quic(
            incoming,
            Arc::clone(acceptor),
            permit,
            unproven,
        )),
        None => incoming.refuse(),
    }
}

async fn handshake_quic(
    incoming: Incoming,
    acceptor: Arc<Acceptor>,
    mut permit: ListenerPermit,
    unproven: Option<OwnedSemaphorePermit>,
) {
    let peer = incoming.remote_address();
    let handshake = async {
        let (connecting, pump) = with_pump(|| incoming.accept());
        let connection = connecting.ok()?.await.ok()?;
        drop(unproven);
        // The handshake has proven the address.
        if permit.of_address.is_none() {
            permit.of_address = acceptor.try_permit_address(peer.ip());
            if permit.of_address.is_none() {
                let number = CloseCode::RateLimited.quic_code().into();
                connection.close(number, b"too many connections from this address");
                return None;
            }
        }
        if webtransport::is_chosen(&connection) {
            webtransport::accept(connection, &acceptor.origins).await
        } else {
            Some(QuicSession::bare(connection, pump))
        }
    };
    let Ok(Some(session)) = timeout(acceptor.handshake_deadline, handshake).await else {
        return acceptor.count(Incident::HandshakeFailed);
    };
    let carrier = AnyCarrier::Quic(Box::new(QuicCarrier::new(session)));
    acceptor.receive(carrier, permit).await;
}

/// Accepts WebSocket until the listener closes.
pub(crate) async fn accept_tcp(listener: TcpListener, acceptor: Arc<Acceptor>) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            () = acceptor.listener.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                // Excess is closed unread: an answer would cost what there is too little of.
                let permit = match acceptor.tcp_peers {
                    TcpPeers::Clients => acceptor.try_permit_for(peer.ip()),
                    TcpPeers::Proxies => acceptor.try_permit(),
                };
                if let Some(permit) = permit {
                    let acceptor_of_task = Arc::clone(&acceptor);
                    acceptor.spawn(handshake_websocket(stream, peer, acceptor_of_task, permit));
                }
            }
            Err(error) => {
                acceptor.count(Incident::AcceptFailed);
                // One line for each run of failures; the counter has how many there are.
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

async fn handshake_websocket(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Arc<Acceptor>,
    permit: ListenerPermit,
) {
    let handshake = handshake::accept(stream, &acceptor.origins);
    let Ok(Ok((socket, encoding))) = timeout(acceptor.handshake_deadline, handshake).await else {
        return acceptor.count(Incident::HandshakeFailed);
    };
    let carrier = WebSocketCarrier {
        socket: Arc::new(socket),
        encoding,
        peer,
        writers: Arc::clone(&acceptor.listener.writers),
    };
    acceptor
        .receive(AnyCarrier::WebSocket(carrier), permit)
        .await;
}

/// Limits handshakes of unproven addresses by the second.
struct HandshakeRate {
    since: Instant,
    handshakes: u32,
}

impl HandshakeRate {
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
