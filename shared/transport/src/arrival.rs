//! A client that has said a readable Hello and waits for an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gameserver_contract::session::TransportKind;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addresses::Place;
use crate::attendant::Attendant;
use crate::close::RefusalCode;
use crate::connection::Connection;
use crate::events::Events;
use crate::frame::{Answer, FrameError, Hello, Refused, Welcome};
use crate::limits::DATAGRAM_SIZE_MAX;
use crate::link::{End, Link, LinkConfig, PostedSocket, RoundTrip};
use crate::mailbox::PostOffice;
use crate::{quic, websocket};

/// A client that waits for an answer. Nothing of it but the Hello was read. It counts as pending
/// until it is answered; dropping it closes the link without an answer.
#[derive(Debug)]
pub struct Arrival {
    pub(crate) hello: Hello,
    pub(crate) peer: SocketAddr,
    pub(crate) carrier: Carrier,
    pub(crate) hall: Arc<Hall>,
    pub(crate) visit: Visit,
}

/// The right to be at the door: it counts as pending, and for its address.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) _pending: OwnedSemaphorePermit,
    pub(crate) of_address: Option<VisitOfAddress>,
}

/// What a visit takes of the places of its address: none yet while the address is not proven, so
/// that nobody takes places of another's.
#[derive(Debug)]
pub(crate) struct VisitOfAddress {
    pub(crate) _pending: Place,
    pub(crate) connection: Place,
}

/// What all arrivals of one listener share.
#[derive(Debug)]
pub(crate) struct Hall {
    pub(crate) events: Arc<Events>,
    pub(crate) idle_timeout: Duration,
    pub(crate) slow_consumer_after: Duration,
    pub(crate) unsent_max: usize,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// What writes to each WebSocket.
    pub(crate) office: Arc<PostOffice>,
    /// Arrivals may be answered from a thread without a runtime.
    pub(crate) runtime: Handle,
}

/// A transport whose handshake is over.
#[derive(Debug)]
pub(crate) enum Carrier {
    Quic(Box<quic::ServerEnd>),
    WebSocket(Box<websocket::ServerEnd>),
}

/// Why there is no Hello.
#[derive(Debug)]
pub(crate) enum HelloError {
    /// The first bytes are none.
    Malformed(FrameError),
    /// The client went away.
    Gone,
}

impl HelloError {
    /// The answer to a client that is still there.
    pub(crate) fn refusal(&self) -> Option<Refused> {
        let Self::Malformed(error) = self else {
            return None;
        };
        let code = if matches!(error, FrameError::VersionMismatch { .. }) {
            RefusalCode::ProtocolMismatch
        } else {
            RefusalCode::MalformedHello
        };
        Some(Refused::new(code, &error.to_string()))
    }
}

impl Carrier {
    pub(crate) async fn read_hello(&mut self) -> Result<Hello, HelloError> {
        match self {
            Self::Quic(end) => end.read_hello().await,
            Self::WebSocket(end) => end.read_hello().await,
        }
    }

    /// Counts and delivers a refusal, then closes.
    pub(crate) async fn refuse(self, refused: Refused, events: &Events) {
        events.count_refusal(refused.code);
        // Texts are cut again, because the fields of a refusal are open to everybody.
        let refused = Refused {
            retry_after_ms: refused.retry_after_ms,
            ..Refused::new(refused.code, &refused.text)
        };
        let Ok(answer) = Answer::Refused(refused.clone()).encode() else {
            return;
        };
        match self {
            Self::Quic(end) => end.refuse(&refused, answer).await,
            Self::WebSocket(end) => end.refuse(&refused, answer).await,
        }
    }

    fn kind(&self) -> TransportKind {
        match self {
            Self::Quic(end) => end.session.kind(),
            Self::WebSocket(_) => TransportKind::WebSocket,
        }
    }

    fn datagram_size_max(&self) -> usize {
        match self {
            Self::Quic(end) => end.session.datagram_size_max(),
            Self::WebSocket(_) => DATAGRAM_SIZE_MAX,
        }
    }

    fn posted(&self, office: &Arc<PostOffice>) -> Option<(PostedSocket, Arc<PostOffice>)> {
        match self {
            Self::Quic(_) => None,
            Self::WebSocket(end) => Some((end.posted(), Arc::clone(office))),
        }
    }

    fn attendant(&self) -> Option<Arc<Attendant>> {
        match self {
            Self::Quic(end) => end.session.attendant(),
            Self::WebSocket(_) => None,
        }
    }

    fn round_trip(&self) -> RoundTrip {
        match self {
            Self::Quic(end) => RoundTrip::Quic(end.session.connection().clone()),
            Self::WebSocket(_) => RoundTrip::Measured(AtomicU64::new(0)),
        }
    }
}

impl Arrival {
    /// What the client said. Its version is ours: others are refused before they arrive.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Where it comes from. Not for logs.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The transport it came by.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        self.carrier.kind()
    }

    /// Largest payload in bytes that its transport takes.
    #[must_use]
    pub fn datagram_size_max(&self) -> usize {
        self.carrier.datagram_size_max()
    }

    /// Lets the client in. The answer is sent, and what is queued is moved, by a task of the
    /// listener; it does not wait. `datagram_size_max` is lowered to what the transport takes.
    ///
    /// # Errors
    ///
    /// The answer has a text over its limit; the client is gone then.
    pub fn welcome(self, mut welcome: Welcome) -> Result<Connection, FrameError> {
        let size_max = u16::try_from(self.datagram_size_max()).unwrap_or(u16::MAX);
        welcome.datagram_size_max = welcome.datagram_size_max.min(size_max);
        let datagram_size_max = usize::from(welcome.datagram_size_max);
        let answer = Answer::Welcome(welcome).encode()?;
        let hall = self.hall;
        let link = Link::new(LinkConfig {
            kind: self.carrier.kind(),
            mode: self.hello.mode,
            end: End::Server,
            peer: self.peer,
            datagram_size_max,
            round_trip: self.carrier.round_trip(),
            socket: self.carrier.posted(&hall.office),
            attendant: self.carrier.attendant(),
            slow_consumer_after: hall.slow_consumer_after,
            unsent_max: hall.unsent_max,
            events: Arc::clone(&hall.events),
        });
        let connection = Connection::new(Arc::clone(&link));
        // It is pending no longer, and counts for its address until it has ended.
        let place = self.visit.of_address.map(|visit| visit.connection);
        match self.carrier {
            Carrier::Quic(end) => {
                let run = end.run(answer, link, hall.stop.clone());
                hall.tasks.spawn_on(holding(place, run), &hall.runtime);
            }
            Carrier::WebSocket(end) => {
                let run = end.run(answer, link, hall.idle_timeout, hall.stop.clone());
                hall.tasks.spawn_on(holding(place, run), &hall.runtime);
            }
        }
        Ok(connection)
    }

    /// Keeps the client out: delivers the refusal, waits until the client has it, but only so
    /// long, and closes.
    pub async fn refuse(self, refused: Refused) {
        self.carrier.refuse(refused, &self.hall.events).await;
        drop(self.visit);
    }
}

/// Does this and keeps the place until it is done.
async fn holding(place: Option<Place>, run: impl Future<Output = ()>) {
    run.await;
    drop(place);
}
