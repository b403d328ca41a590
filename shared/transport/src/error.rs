//! Every error of connecting, sending and listening. They know frames, close reasons and
//! certificates, and nothing of the parts that return them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_tungstenite::tungstenite::error::Error as WsError;

use crate::certificate::IdentityError;
use crate::close::{CloseReason, RefusalCode};
use crate::frame::{FrameError, Refused};
use crate::limits::RETRY_AFTER;

/// A payload that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It does not fit a datagram, or it is no reliable frame that the peer takes.
    #[error("{size} bytes are more than the {size_max} that fit")]
    TooLarge {
        /// The payload's bytes.
        size: usize,
        /// What fits.
        size_max: usize,
    },
    /// The connection has ended.
    #[error("the connection is closed")]
    Closed,
    /// Native mode has datagrams only.
    #[error("native mode has no reliable channel")]
    NoReliableChannel,
}

/// A listener that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, or the system refuses.
    #[error("{address} cannot be bound: {source}")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system reports.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] IdentityError),
}

/// Why a client was not admitted.
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
    /// The bytes of the answer are none.
    #[error("the answer cannot be read: {0}")]
    MalformedResponse(FrameError),
    /// It took too long.
    #[error("no answer came in time")]
    TimedOut,
}

impl ConnectError {
    /// After how long it is worth to try again with the same ticket; none when it is not. A client
    /// that receives nothing at all may try soon, too.
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

/// Why no frame was read.
#[derive(Debug)]
pub(crate) enum ReadFrameError {
    /// The connection ended.
    Lost,
    /// What came is no frame.
    Malformed(FrameError),
}

impl ReadFrameError {
    /// The answer to a client that is still there and whose Hello this was to be.
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
