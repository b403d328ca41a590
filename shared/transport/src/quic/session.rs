//! A QUIC connection whose handshakes are over: bare, or a WebTransport session, and how either
//! ends. It knows no Hello and no link.

use std::sync::Arc;

use gameserver_contract::session::TransportKind;
use quinn::ConnectionError;
use web_transport_quinn::{Session, SessionError, WebTransportError};

use crate::close::{CloseCode, CloseReason, Side};
use crate::limits::DATAGRAM_SIZE_MAX;
use crate::quic::datagram_pump::DatagramPump;

/// A connection whose handshakes are over: bare, or with HTTP/3 around it.
#[derive(Debug, Clone)]
pub(crate) struct QuicSession {
    session: Session,
    kind: TransportKind,
    datagram_size_max: usize,
    pump: Option<Arc<DatagramPump>>,
}

/// Largest datagram that this connection takes on any path; 0 when the peer has none. It is read
/// once, early: before the path is explored it is the size that every path takes.
pub(crate) fn datagram_size_max(connection: &quinn::Connection) -> usize {
    let size = connection.max_datagram_size().unwrap_or(0);
    size.min(DATAGRAM_SIZE_MAX)
}

impl QuicSession {
    /// A connection that speaks `gs/1`, and the pump of its driver.
    pub(crate) fn bare(connection: quinn::Connection, pump: Option<Arc<DatagramPump>>) -> Self {
        Self {
            kind: TransportKind::Quic,
            datagram_size_max: datagram_size_max(&connection),
            session: Session::raw(connection),
            pump,
        }
    }

    /// A session over HTTP/3, on a connection that takes datagrams of this size.
    pub(crate) fn web(session: Session, datagram_size_max: usize) -> Self {
        let connection: &quinn::Connection = &session;
        let now = connection.max_datagram_size().unwrap_or(0);
        // Each datagram begins with the number of the session.
        let prefix = now.saturating_sub(session.max_datagram_size());
        Self {
            kind: TransportKind::WebTransport,
            datagram_size_max: datagram_size_max.saturating_sub(prefix),
            session,
            // A session's datagrams are not all of its connection's.
            pump: None,
        }
    }

    pub(crate) fn kind(&self) -> TransportKind {
        self.kind
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn connection(&self) -> &quinn::Connection {
        &self.session
    }

    /// The pump of a bare connection's driver.
    pub(crate) fn pump(&self) -> Option<Arc<DatagramPump>> {
        self.pump.clone()
    }

    /// Largest payload in bytes; 0 when the peer takes no datagrams.
    pub(crate) fn datagram_size_max(&self) -> usize {
        self.datagram_size_max
    }

    /// Closes and waits until the peer can know it.
    pub(crate) async fn close(&self, code: CloseCode, text: &str) {
        let number = match self.kind {
            TransportKind::WebTransport => code.session_code(),
            TransportKind::Quic | TransportKind::WebSocket => code.quic_code(),
        };
        self.session.close(number, text.as_bytes());
        if self.kind == TransportKind::WebTransport {
            // The library gives the peer three round trips to take the last capsule.
            self.session.closed().await;
        }
    }

    /// Why the connection ended, once it has.
    pub(crate) async fn lost(&self) -> CloseReason {
        self.close_reason(&self.session.closed().await)
    }

    pub(crate) fn close_reason(&self, error: &SessionError) -> CloseReason {
        match (error, self.connection().close_reason()) {
            (SessionError::WebTransportError(WebTransportError::Closed(number, text)), _) => {
                let code = match self.kind {
                    TransportKind::WebTransport => CloseCode::from_session_code(*number),
                    TransportKind::Quic | TransportKind::WebSocket => {
                        CloseCode::from_quic_code(u64::from(*number))
                    }
                };
                CloseReason::new(code, text, Side::Peer)
            }
            (_, Some(ended)) if self.kind == TransportKind::WebTransport => self.cut_off(&ended),
            (_, Some(ended)) => connection_end(&ended),
            (_, None) => CloseReason::new(CloseCode::Lost, &error.to_string(), Side::Network),
        }
    }

    /// How a session ended that nobody closed. The library may have closed the connection after
    /// it ended, which hides why it did; but not whether the peer sent a close.
    fn cut_off(&self, ended: &ConnectionError) -> CloseReason {
        if self.connection().stats().frame_rx.connection_close > 0 {
            // A page that ends its session does so within it. This one was left or loaded again.
            let text = "the browser closed the connection";
            return CloseReason::new(CloseCode::Lost, text, Side::Peer);
        }
        if *ended == ConnectionError::LocallyClosed {
            let text = "the session broke off";
            return CloseReason::new(CloseCode::Lost, text, Side::Network);
        }
        connection_end(ended)
    }
}

fn connection_end(error: &ConnectionError) -> CloseReason {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = CloseCode::from_quic_code(close.error_code.into_inner());
            CloseReason::new(code, &String::from_utf8_lossy(&close.reason), Side::Peer)
        }
        ConnectionError::TimedOut => CloseReason::new(
            CloseCode::Timeout,
            "nothing was heard for too long",
            Side::Network,
        ),
        ConnectionError::LocallyClosed => CloseReason::new(CloseCode::Consented, "", Side::Us),
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::CidsExhausted => {
            CloseReason::new(CloseCode::Lost, &error.to_string(), Side::Network)
        }
    }
}
