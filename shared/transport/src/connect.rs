//! The client's way in: tries the offered transports, better ones first, and says the Hello over
//! the first one that is there.
//!
//! A ticket is good for one use, so the Hello goes over one transport only: the transports race
//! for their handshakes, and the losers are dropped unused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use std::{fmt, io};

use gameserver_contract::session::{TransportKind, TransportOffer};
use quinn::{Endpoint, EndpointConfig, Runtime as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::attendant::AttendedRuntime;
use crate::certificate::{IdentityError, ServerIdentity};
use crate::close::{CloseCode, CloseReason};
use crate::conditions::{ConditionedSocket, Conditioner, NetworkConditions, Tally, relay};
use crate::connection::Connection;
use crate::encoding::Encoding;
use crate::frame::{Answer, FrameError, Hello, Mode, Refused, Welcome};
use crate::keeper::keep;
use crate::limits::{
    ALPN, ALPN_WEB, CONNECT_TIMEOUT, DATAGRAM_SIZE_MAX, IDLE_TIMEOUT, RETRY_AFTER,
    SLOW_CONSUMER_AFTER, STAGGER, UNSENT_BYTES_MAX,
};
use crate::link::{End, Link, LinkConfig, RoundTrip};
use crate::mailbox::PostOffice;
use crate::quic::QuicSession;
use crate::race::race;
use crate::websocket::ClientEnd;
use crate::{quic, sockets, websocket, webtransport};

/// How to connect. [`Default`] has the numbers of [`crate::limits`].
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Try this transport only.
    pub only: Option<TransportKind>,
    /// Head start of each offer before the next one is tried as well.
    pub stagger: Duration,
    /// When to give up, the answer included.
    pub timeout: Duration,
    /// Silence after which the connection is over.
    pub idle_timeout: Duration,
    /// What to share with other connections, network conditions among it; without it each opens its
    /// own, and nothing is done to the network.
    pub endpoint: Option<ClientEndpoint>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            only: None,
            stagger: STAGGER,
            timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            endpoint: None,
        }
    }
}

/// What many connections share, because a thousand bots need it once: the UDP socket of QUIC, what
/// writes to each WebSocket, and the network conditions of all.
#[derive(Debug, Clone)]
pub struct ClientEndpoint {
    pub(crate) endpoint: Endpoint,
    office: Arc<PostOffice>,
    _counter: Arc<AbortOnDropHandle<()>>,
    conditioner: Option<Arc<Conditioner>>,
}

impl ClientEndpoint {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn bind() -> io::Result<Self> {
        let config = EndpointConfig::default();
        let socket = sockets::bind_client()?;
        let endpoint = Endpoint::new(config, None, socket, Arc::new(AttendedRuntime))?;
        Ok(Self::over(endpoint, None))
    }

    fn over(endpoint: Endpoint, conditioner: Option<Conditioner>) -> Self {
        let office = PostOffice::with_counters(1);
        let counter = tokio::spawn(Arc::clone(&office).serve(0));
        Self {
            endpoint,
            office,
            _counter: Arc::new(AbortOnDropHandle::new(counter)),
            conditioner: conditioner.map(Arc::new),
        }
    }

    /// Opens the socket and puts these conditions on every connection: QUIC, WebTransport and
    /// WebSocket. The same seed does the same to the same packets; their order is the network's.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn bind_under(conditions: NetworkConditions, seed: u64) -> io::Result<Self> {
        if conditions == NetworkConditions::NONE {
            return Self::bind();
        }
        let conditioner = Conditioner::new(conditions, seed);
        let socket = AttendedRuntime.wrap_udp_socket(sockets::bind_client()?)?;
        let endpoint = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            Arc::new(ConditionedSocket::new(socket, &conditioner)),
            Arc::new(AttendedRuntime),
        )?;
        Ok(Self::over(endpoint, Some(conditioner)))
    }

    /// What the conditions did so far; None without any.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        Some(self.conditioner.as_ref()?.tally())
    }

    /// Waits until the last words of all closed connections are sent, which a process does
    /// before it ends.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// A client that was let in.
#[derive(Debug)]
pub struct Connected {
    /// The link.
    pub connection: Connection,
    /// What the server said.
    pub welcome: Welcome,
}

/// Why a client was not let in.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No offer has a transport that this client speaks.
    #[error("none of the offered transports can be used here")]
    NoUsableOffer,
    /// The Hello has a text over its limit.
    #[error("the Hello cannot be sent: {0}")]
    BadHello(FrameError),
    /// No transport came up.
    #[error("no transport came up: {}", list(.0))]
    Unreachable(Vec<AttemptError>),
    /// The server refused the Hello.
    #[error("refused: {0}")]
    Refused(Refused),
    /// The link ended between Hello and answer. The ticket may be used up.
    #[error("the link ended before the answer: {0}")]
    Lost(CloseReason),
    /// The answer is none.
    #[error("the answer cannot be read: {0}")]
    MalformedResponse(FrameError),
    /// It took too long.
    #[error("no answer came in time")]
    TimedOut,
}

impl ConnectError {
    /// After how long it is worth to try again with the same ticket; none when it is not. Whoever
    /// hears nothing at all may try soon, too.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refused) => refused
                .retry_after_ms
                .map(u64::from)
                .map(Duration::from_millis),
            Self::Unreachable(_) | Self::TimedOut => Some(RETRY_AFTER),
            Self::NoUsableOffer
            | Self::BadHello(_)
            | Self::Lost(_)
            | Self::MalformedResponse(_) => None,
        }
    }
}

/// Why one transport did not come up.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The offer's address cannot be read.
    #[error("{0:?} is no address of its transport")]
    BadUrl(String),
    /// The host has no address, or nobody listens there.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server cannot be recognised in the offered way.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The QUIC handshake failed; a certificate that is not the offered one is among the reasons.
    #[error("QUIC: {0}")]
    Quic(String),
    /// The handshake of WebTransport failed after QUIC's.
    #[error("WebTransport: {0}")]
    WebTransport(String),
    /// The WebSocket handshake failed.
    #[error("WebSocket: {0}")]
    WebSocket(Box<WsError>),
}

impl From<WsError> for AttemptError {
    fn from(error: WsError) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

impl AttemptError {
    /// Stands for all errors of one offer's addresses.
    pub(crate) fn first(errors: Vec<Self>) -> Self {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address").into();
        errors.into_iter().next().unwrap_or_else(none)
    }
}

fn list(errors: &[AttemptError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum GreetError {
    Lost(CloseReason),
    Malformed(FrameError),
}

impl From<GreetError> for ConnectError {
    fn from(error: GreetError) -> Self {
        match error {
            GreetError::Lost(reason) => Self::Lost(reason),
            GreetError::Malformed(error) => Self::MalformedResponse(error),
        }
    }
}

/// Connects over the best transport that comes up. WebTransport is for browsers: it needs the same
/// port as QUIC and can do no more, so it is tried only when [`ConnectOptions::only`] asks for it.
///
/// # Errors
///
/// [`ConnectError`]. After [`ConnectError::Lost`] and [`ConnectError::TimedOut`] the ticket may
/// have been used.
pub async fn connect(
    offers: &[TransportOffer],
    hello: Hello,
    options: ConnectOptions,
) -> Result<Connected, ConnectError> {
    let deadline = options.timeout;
    let greeting = Greeting::new(&hello, options.idle_timeout)?;
    let connected = async {
        let carrier = dial_untimed(offers, &options).await?;
        carrier.greet(greeting).await
    };
    let connected = timeout(deadline, Box::pin(connected)).await;
    connected.map_err(|_| ConnectError::TimedOut)?
}

/// A transport that has come up and over which nothing was said yet. Dropped, it goes down again,
/// and no ticket is used.
#[must_use]
pub struct Dialed {
    carrier: Carrier,
    idle_timeout: Duration,
}

impl fmt::Debug for Dialed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialed").finish_non_exhaustive()
    }
}

/// The first half of [`connect`]: brings a transport up. For who decides only then whether to say
/// the Hello, because it uses a ticket or a resume token up.
///
/// # Errors
///
/// [`ConnectError`]: nothing was used.
pub async fn dial(
    offers: &[TransportOffer],
    options: &ConnectOptions,
) -> Result<Dialed, ConnectError> {
    let carrier = timeout(options.timeout, Box::pin(dial_untimed(offers, options))).await;
    Ok(Dialed {
        carrier: carrier.map_err(|_| ConnectError::TimedOut)??,
        idle_timeout: options.idle_timeout,
    })
}

impl Dialed {
    /// The second half: says the Hello, and waits for the answer for so long.
    ///
    /// # Errors
    ///
    /// As those of [`connect`].
    pub async fn greet(self, hello: &Hello, patience: Duration) -> Result<Connected, ConnectError> {
        let greeting = Greeting::new(hello, self.idle_timeout)?;
        let connected = timeout(patience, Box::pin(self.carrier.greet(greeting))).await;
        connected.map_err(|_| ConnectError::TimedOut)?
    }
}

/// What is said over the transport that comes up first.
struct Greeting {
    mode: Mode,
    bytes: Vec<u8>,
    idle_timeout: Duration,
}

impl Greeting {
    fn new(hello: &Hello, idle_timeout: Duration) -> Result<Self, ConnectError> {
        Ok(Self {
            mode: hello.mode,
            bytes: hello.encode().map_err(ConnectError::BadHello)?,
            idle_timeout,
        })
    }
}

async fn dial_untimed(
    offers: &[TransportOffer],
    options: &ConnectOptions,
) -> Result<Carrier, ConnectError> {
    let usable = |offer: &&TransportOffer| match options.only {
        Some(only) => offer.kind == only,
        None => offer.kind != TransportKind::WebTransport,
    };
    let mut usable = offers.iter().filter(usable).peekable();
    if usable.peek().is_none() {
        return Err(ConnectError::NoUsableOffer);
    }
    // Collected, because a borrowing closure held across an await could not be spawned.
    let attempts: Vec<_> = usable.map(|offer| Carrier::dial(offer, options)).collect();
    race(options.stagger, attempts)
        .await
        .map_err(ConnectError::Unreachable)
}

/// A transport that came up.
enum Carrier {
    Quic(Box<QuicSession>),
    WebSocket {
        end: ClientEnd,
        peer: SocketAddr,
        /// What many connections share, if they do.
        office: Option<Arc<PostOffice>>,
    },
}

impl Carrier {
    async fn dial(offer: &TransportOffer, options: &ConnectOptions) -> Result<Self, AttemptError> {
        let target = Target::parse(offer)?;
        let identity = ServerIdentity::from_offer(offer.certificate_sha256.as_deref())?;
        match offer.kind {
            TransportKind::Quic => {
                let (connection, attendant) = target.dial(ALPN, identity, options).await?;
                let session = QuicSession::bare(connection, attendant);
                Ok(Self::Quic(Box::new(session)))
            }
            TransportKind::WebTransport => {
                let (connection, _) = target.dial(ALPN_WEB, identity, options).await?;
                let session = webtransport::connect(connection, &offer.url).await?;
                Ok(Self::Quic(Box::new(session)))
            }
            TransportKind::WebSocket => {
                let (end, peer) = target.dial_websocket(offer, identity, options).await?;
                let shared = options.endpoint.as_ref();
                let office = shared.map(|endpoint| Arc::clone(&endpoint.office));
                Ok(Self::WebSocket { end, peer, office })
            }
        }
    }

    async fn greet(self, greeting: Greeting) -> Result<Connected, ConnectError> {
        match self {
            Self::Quic(session) => greet_quic(*session, greeting).await,
            Self::WebSocket { end, peer, office } => {
                Box::pin(greet_websocket(end, peer, office, greeting)).await
            }
        }
    }
}

async fn greet_quic(session: QuicSession, greeting: Greeting) -> Result<Connected, ConnectError> {
    let size_max = session.datagram_size_max();
    let (answer, stream) = quic::greet(&session, greeting.bytes, greeting.mode).await?;
    let welcome = match answer {
        Answer::Welcome(welcome) => welcome,
        Answer::Refused(refused) => {
            session.close(CloseCode::Consented, "").await;
            return Err(ConnectError::Refused(refused));
        }
    };
    let link = Link::new(LinkConfig {
        kind: session.kind(),
        mode: greeting.mode,
        end: End::Client,
        peer: sockets::canonical(session.connection().remote_address()),
        datagram_size_max: size_max.min(usize::from(welcome.datagram_size_max)),
        round_trip: RoundTrip::Quic(session.connection().clone()),
        socket: None,
        attendant: session.attendant(),
        slow_consumer_after: SLOW_CONSUMER_AFTER,
        unsent_max: UNSENT_BYTES_MAX,
        events: Arc::default(),
    });
    tokio::spawn(quic::pump(
        session,
        Some(stream),
        None,
        Arc::clone(&link),
        CancellationToken::new(),
    ));
    Ok(Connected {
        connection: Connection::new(link),
        welcome,
    })
}

async fn greet_websocket(
    mut end: ClientEnd,
    peer: SocketAddr,
    office: Option<Arc<PostOffice>>,
    greeting: Greeting,
) -> Result<Connected, ConnectError> {
    let welcome = match end.greet(greeting.bytes).await? {
        Answer::Welcome(welcome) => welcome,
        Answer::Refused(refused) => {
            tokio::spawn(end.leave());
            return Err(ConnectError::Refused(refused));
        }
    };
    let (socket, counter) = match &end {
        ClientEnd::Direct(socket) => {
            let (office, counter) = office.map_or_else(open_office, |office| (office, None));
            let posted = (Arc::clone(socket), Encoding::MessagePack);
            (Some((posted, office)), counter)
        }
        ClientEnd::Pumped(_) => (None, None),
    };
    let link = Link::new(LinkConfig {
        kind: TransportKind::WebSocket,
        mode: greeting.mode,
        end: End::Client,
        peer,
        datagram_size_max: DATAGRAM_SIZE_MAX.min(usize::from(welcome.datagram_size_max)),
        round_trip: RoundTrip::Measured(AtomicU64::new(0)),
        socket,
        attendant: None,
        slow_consumer_after: SLOW_CONSUMER_AFTER,
        unsent_max: UNSENT_BYTES_MAX,
        events: Arc::default(),
    });
    let connection = Connection::new(Arc::clone(&link));
    tokio::spawn(async move {
        let _until_the_end = counter;
        match end {
            ClientEnd::Direct(socket) => {
                let posted = (socket, Encoding::MessagePack);
                let stop = CancellationToken::new();
                keep(posted, None, link, greeting.idle_timeout, stop).await;
            }
            ClientEnd::Pumped(stream) => {
                websocket::pump(*stream, link, greeting.idle_timeout).await;
            }
        }
    });
    Ok(Connected {
        connection,
        welcome,
    })
}

/// A post office for one connection.
fn open_office() -> (Arc<PostOffice>, Option<AbortOnDropHandle<()>>) {
    let office = PostOffice::with_counters(1);
    let counter = tokio::spawn(Arc::clone(&office).serve(0));
    (office, Some(AbortOnDropHandle::new(counter)))
}

/// An offer's address, taken apart.
struct Target {
    host: String,
    port: u16,
}

impl Target {
    fn parse(offer: &TransportOffer) -> Result<Self, AttemptError> {
        let bad = || AttemptError::BadUrl(offer.url.clone());
        let uri: Uri = offer.url.parse().map_err(|_| bad())?;
        let default_port = match (offer.kind, uri.scheme_str()) {
            (TransportKind::Quic, Some("quic")) => None,
            (TransportKind::WebSocket, Some("ws")) => Some(80),
            (TransportKind::WebTransport, Some("https"))
            | (TransportKind::WebSocket, Some("wss")) => Some(443),
            _ => return Err(bad()),
        };
        let port = uri.port_u16().or(default_port).ok_or_else(bad)?;
        // IPv6 addresses stand in brackets in addresses of this form, and nowhere else.
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']);
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Connects over WebSocket; the stream and the server's address.
    async fn dial_websocket(
        &self,
        offer: &TransportOffer,
        identity: ServerIdentity,
        options: &ConnectOptions,
    ) -> Result<(ClientEnd, SocketAddr), AttemptError> {
        let (stream, peer) = websocket::open(&self.host, self.port).await?;
        let shared = options.endpoint.as_ref();
        let stream = match shared.and_then(|shared| shared.conditioner.as_ref()) {
            Some(conditioner) => Either::Right(relay(stream, conditioner)),
            None => Either::Left(stream),
        };
        let end = ClientEnd::dial(&offer.url, stream, identity).await?;
        Ok((end, peer))
    }

    /// Connects over QUIC to the first of the host's addresses that answers.
    async fn dial(
        &self,
        alpn: &[u8],
        identity: ServerIdentity,
        options: &ConnectOptions,
    ) -> Result<quic::Attended, AttemptError> {
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let endpoint = match &options.endpoint {
            Some(shared) => shared.clone(),
            None => ClientEndpoint::bind()?,
        };
        let config = quic::client_config(identity, alpn, options.idle_timeout)?;
        quic::dial(&endpoint.endpoint, addresses.collect(), &self.host, &config).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: TransportKind, url: &str) -> Option<(String, u16)> {
        let offer = TransportOffer {
            kind,
            url: url.to_owned(),
            certificate_sha256: None,
        };
        Target::parse(&offer)
            .ok()
            .map(|target| (target.host, target.port))
    }

    #[test]
    fn offers_name_a_host_and_a_port() {
        let quic = parse(TransportKind::Quic, "quic://[::1]:7777");
        assert_eq!(quic, Some(("::1".to_owned(), 7777)));
        let websocket = parse(TransportKind::WebSocket, "wss://play.example/gs");
        assert_eq!(websocket, Some(("play.example".to_owned(), 443)));
        let web = parse(TransportKind::WebTransport, "https://127.0.0.1:7777/any");
        assert_eq!(web, Some(("127.0.0.1".to_owned(), 7777)));
    }

    #[test]
    fn an_address_of_another_transport_is_refused() {
        assert_eq!(parse(TransportKind::Quic, "ws://127.0.0.1:1"), None);
        assert_eq!(parse(TransportKind::WebSocket, "http://127.0.0.1:1"), None);
        assert_eq!(parse(TransportKind::Quic, "quic://127.0.0.1"), None);
        assert_eq!(parse(TransportKind::Quic, "not an address"), None);
    }
}
