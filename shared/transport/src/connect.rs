//! The client's connect: tries the offered transports, better ones first, and sends the Hello over
//! the first one that is there. It knows no lobby.
//!
//! A ticket is good for one use, so the Hello goes over one transport only: the transports race
//! for their handshakes, and the losers are dropped unused.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gameserver_contract::session::{TransportKind, TransportOffer};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::any_carrier::AnyCarrier;
use crate::carrier::{Carrier as _, LinkLife};
pub use crate::client_endpoint::{ClientEndpoint, ClientNetwork};
use crate::connection::Connection;
use crate::dial::dial_offer;
pub use crate::error::{AttemptError, ConnectError};
use crate::frame::{Answer, Hello, Mode, Welcome};
use crate::limits::{
    CONNECT_TIMEOUT, IDLE_TIMEOUT, SLOW_CONSUMER_AFTER, STAGGER, UNSENT_BYTES_MAX,
};
use crate::link::{LinkConfig, LinkEnd};
use crate::race::race;
use crate::sockets;

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
    /// What to share with other connections; without it each opens its own.
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

/// A client that was admitted.
#[derive(Debug)]
pub struct Connected {
    /// The link.
    pub connection: Connection,
    /// The server's answer.
    pub welcome: Welcome,
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
    // Before a transport is there to be wasted.
    let bytes = hello.encode().map_err(ConnectError::BadHello)?;
    let connected = async {
        let dialed = dial_untimed(offers, &options).await?;
        dialed.send(hello.mode, bytes).await
    };
    let connected = timeout(deadline, Box::pin(connected)).await;
    connected.map_err(|_| ConnectError::TimedOut)?
}

/// A transport that has come up and over which nothing was sent yet. Dropped, it goes down again,
/// and no ticket is used.
#[must_use]
pub struct Dialed {
    carrier: AnyCarrier,
    idle_timeout: Duration,
}

impl fmt::Debug for Dialed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialed").finish_non_exhaustive()
    }
}

/// The first half of [`connect`]: brings a transport up. For a client that decides only then
/// whether to send the Hello, because it uses a ticket or a resume token up.
///
/// # Errors
///
/// [`ConnectError`]: nothing was used.
pub async fn dial(
    offers: &[TransportOffer],
    options: &ConnectOptions,
) -> Result<Dialed, ConnectError> {
    let dialed = timeout(options.timeout, Box::pin(dial_untimed(offers, options))).await;
    dialed.map_err(|_| ConnectError::TimedOut)?
}

impl Dialed {
    /// The second half: sends the Hello, and waits for the answer for so long.
    ///
    /// # Errors
    ///
    /// As those of [`connect`].
    pub async fn send_hello(
        self,
        hello: &Hello,
        patience: Duration,
    ) -> Result<Connected, ConnectError> {
        let bytes = hello.encode().map_err(ConnectError::BadHello)?;
        let connected = timeout(patience, Box::pin(self.send(hello.mode, bytes))).await;
        connected.map_err(|_| ConnectError::TimedOut)?
    }

    async fn send(mut self, mode: Mode, hello: Vec<u8>) -> Result<Connected, ConnectError> {
        let welcome = match self.carrier.send_hello(hello, mode).await? {
            Answer::Welcome(welcome) => welcome,
            Answer::Refused(refused) => {
                self.carrier.leave().await;
                return Err(ConnectError::Refused(refused));
            }
        };
        let size_max = usize::from(welcome.datagram_size_max);
        let config = LinkConfig {
            mode,
            end: LinkEnd::Client,
            peer: sockets::canonical(self.carrier.peer()),
            datagram_size_max: self.carrier.datagram_size_max().min(size_max),
            slow_consumer_after: SLOW_CONSUMER_AFTER,
            unsent_max: UNSENT_BYTES_MAX,
            events: Arc::default(),
        };
        let life = LinkLife {
            first: None,
            idle_timeout: self.idle_timeout,
            stop: CancellationToken::new(),
        };
        let (link, task) = self.carrier.open(config, life);
        tokio::spawn(task);
        Ok(Connected {
            connection: Connection::new(link),
            welcome,
        })
    }
}

async fn dial_untimed(
    offers: &[TransportOffer],
    options: &ConnectOptions,
) -> Result<Dialed, ConnectError> {
    let usable = |offer: &&TransportOffer| match options.only {
        Some(only) => offer.kind == only,
        None => offer.kind != TransportKind::WebTransport,
    };
    let mut usable = offers.iter().filter(usable).peekable();
    if usable.peek().is_none() {
        return Err(ConnectError::NoUsableOffer);
    }
    // Collected, because a borrowing closure held across an await could not be spawned.
    let attempts: Vec<_> = usable
        .map(|offer| dial_offer(offer, options.endpoint.as_ref(), options.idle_timeout))
        .collect();
    let carrier = race(options.stagger, attempts).await;
    Ok(Dialed {
        carrier: carrier.map_err(ConnectError::Unreachable)?,
        idle_timeout: options.idle_timeout,
    })
}
