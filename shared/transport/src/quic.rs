//! The QUIC carrier, both ends: configuration with every limit set, the Hello on the first
//! stream, and the pump between datagrams and a link's queues. What it runs on is a WebTransport
//! session or, without HTTP/3 around it, the bare connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AckFrequencyConfig, ClientConfig, ConnectionError, Endpoint, IdleTimeout, SendDatagramError,
    ServerConfig, TransportConfig, VarInt,
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use web_transport_quinn::{Session, SessionError, WebTransportError};

use crate::ack_delay::DeclaresAckDelay;
use crate::arrival::HelloError;
use crate::attendant::{Attendant, attended};
use crate::certificate::{IdentityError, ServerCertificate, ServerIdentity};
use crate::close::{CloseCode, CloseReason, Side};
use crate::congestion::Floored;
use crate::connect::{AttemptError, GreetError};
use crate::events::DropReason;
use crate::frame::{Answer, Hello, Mode, Refused};
use crate::limits::{
    ACK_AFTER_PACKETS, ACK_DELAY_MAX, ALPN, ALPN_WEB, ANSWER_DEADLINE, DATAGRAM_SIZE_MAX,
    KEEP_ALIVE, QUIC_CONNECTION_WINDOW, QUIC_CRYPTO_BUFFER, QUIC_DATAGRAM_RECEIVE_BUFFER,
    QUIC_DATAGRAM_SEND_BUFFER, QUIC_INCOMING_BUFFER, QUIC_INCOMING_BUFFER_TOTAL, QUIC_INCOMING_MAX,
    QUIC_PACKETS_PER_S_MAX, QUIC_SEND_WINDOW, QUIC_STREAM_WINDOW, QUIC_STREAMS_MAX, STAGGER,
};
use crate::link::{End, Link};
use crate::race::race;
use crate::stream::{self, HelloStream, ReadFrameError};

/// The server's side of the configuration.
pub(crate) fn server_config(
    certificate: &ServerCertificate,
    idle_timeout: Duration,
) -> Result<ServerConfig, IdentityError> {
    let crypto = server_crypto(certificate)?;
    let mut transport = transport_config(idle_timeout);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(QUIC_STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(QUIC_STREAMS_MAX))
        // Pages cannot ask their browser to keep a quiet connection alive.
        .keep_alive_interval(Some(KEEP_ALIVE));
    let mut config = ServerConfig::with_crypto(crypto);
    config
        .transport_config(Arc::new(transport))
        .max_incoming(QUIC_INCOMING_MAX)
        .incoming_buffer_size(QUIC_INCOMING_BUFFER)
        .incoming_buffer_size_total(QUIC_INCOMING_BUFFER_TOTAL);
    Ok(config)
}

/// The part of it that depends on the certificate.
pub(crate) fn server_crypto(
    certificate: &ServerCertificate,
) -> Result<Arc<DeclaresAckDelay<QuicServerConfig>>, IdentityError> {
    let tls = QuicServerConfig::try_from(certificate.tls_config(&[ALPN, ALPN_WEB])?);
    let tls = tls.map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(DeclaresAckDelay::new(tls))
}

/// The client's side: the server may open no stream but those of HTTP/3, and the client keeps the
/// link alive.
pub(crate) fn client_config(
    identity: ServerIdentity,
    alpn: &[u8],
    idle_timeout: Duration,
) -> Result<ClientConfig, IdentityError> {
    let tls = QuicClientConfig::try_from(identity.tls_config(Some(alpn))?);
    let tls = tls.map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut transport = transport_config(idle_timeout);
    let streams_max = if alpn == ALPN_WEB {
        QUIC_STREAMS_MAX
    } else {
        0
    };
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(streams_max))
        .keep_alive_interval(Some(KEEP_ALIVE));
    let mut config = ClientConfig::new(DeclaresAckDelay::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn transport_config(idle_timeout: Duration) -> TransportConfig {
    let idle_timeout_ms = u32::try_from(idle_timeout.as_millis()).unwrap_or(u32::MAX);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_timeout_ms))))
        .stream_receive_window(VarInt::from_u32(QUIC_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(QUIC_CONNECTION_WINDOW))
        .send_window(QUIC_SEND_WINDOW)
        .crypto_buffer_size(QUIC_CRYPTO_BUFFER)
        .congestion_controller_factory(Arc::new(Floored::default()))
        .ack_frequency_config(Some(ack_frequency()))
        .datagram_receive_buffer_size(Some(QUIC_DATAGRAM_RECEIVE_BUFFER))
        .datagram_send_buffer_size(QUIC_DATAGRAM_SEND_BUFFER);
    config
}

/// How the peer is asked to acknowledge, where it knows how (draft-ietf-quic-ack-frequency): what
/// both sides send all the time carries the acknowledgements, and few packets are sent for them
/// alone.
fn ack_frequency() -> AckFrequencyConfig {
    let mut config = AckFrequencyConfig::default();
    config
        .ack_eliciting_threshold(VarInt::from_u32(ACK_AFTER_PACKETS))
        .max_ack_delay(Some(ACK_DELAY_MAX));
    config
}

/// A connection whose handshakes are over: bare, or with HTTP/3 around it.
#[derive(Debug, Clone)]
pub(crate) struct QuicSession {
    session: Session,
    kind: TransportKind,
    datagram_size_max: usize,
    attendant: Option<Arc<Attendant>>,
}

/// A connection, and who attends its driver.
pub(crate) type Attended = (quinn::Connection, Option<Arc<Attendant>>);

/// Largest datagram that this connection takes on any path; 0 when the peer has none. It is read
/// once, early: before the path is explored it is the size that every path takes.
pub(crate) fn datagram_size_max(connection: &quinn::Connection) -> usize {
    let size = connection.max_datagram_size().unwrap_or(0);
    size.min(DATAGRAM_SIZE_MAX)
}

impl QuicSession {
    /// A connection that speaks `gs/1`, and who attends its driver.
    pub(crate) fn bare(connection: quinn::Connection, attendant: Option<Arc<Attendant>>) -> Self {
        Self {
            kind: TransportKind::Quic,
            datagram_size_max: datagram_size_max(&connection),
            session: Session::raw(connection),
            attendant,
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
            attendant: None,
        }
    }

    pub(crate) fn kind(&self) -> TransportKind {
        self.kind
    }

    pub(crate) fn connection(&self) -> &quinn::Connection {
        &self.session
    }

    /// Who attends the driver of a bare connection.
    pub(crate) fn attendant(&self) -> Option<Arc<Attendant>> {
        self.attendant.clone()
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
    async fn lost(&self) -> CloseReason {
        self.close_reason(&self.session.closed().await)
    }

    fn close_reason(&self, error: &SessionError) -> CloseReason {
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
    /// it ended, which hides why it did; but not whether the peer said so.
    fn cut_off(&self, ended: &ConnectionError) -> CloseReason {
        if self.connection().stats().frame_rx.connection_close > 0 {
            // A page that ends its session says so within it. This one was left or loaded again.
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

/// The server's end of a connection whose handshake is over.
#[derive(Debug)]
pub(crate) struct ServerEnd {
    pub(crate) session: QuicSession,
    stream: Option<HelloStream>,
}

impl ServerEnd {
    pub(crate) fn new(session: QuicSession) -> Self {
        Self {
            session,
            stream: None,
        }
    }

    pub(crate) async fn read_hello(&mut self) -> Result<Hello, HelloError> {
        let accepted = self.session.session.accept_bi().await;
        let (send, receive) = accepted.map_err(|_| HelloError::Gone)?;
        let stream = self.stream.insert(HelloStream { send, receive });
        let bytes = stream::read_greeting(&mut stream.receive).await;
        let bytes = bytes.map_err(|error| match error {
            ReadFrameError::Lost => HelloError::Gone,
            ReadFrameError::Malformed(error) => HelloError::Malformed(error),
        })?;
        Hello::decode(&bytes).map_err(HelloError::Malformed)
    }

    /// Delivers a refusal, then closes.
    pub(crate) async fn refuse(self, refused: &Refused, answer: Vec<u8>) {
        if let Some(stream) = self.stream {
            // A client that is gone needs no answer.
            let delivery = stream::deliver(stream.send, answer.into());
            let _ = timeout(ANSWER_DEADLINE, delivery).await;
        }
        let code = refused.code.close_code();
        self.session.close(code, &refused.text).await;
    }

    /// Sends the answer and serves the link until it ends.
    pub(crate) async fn run(self, answer: Vec<u8>, link: Arc<Link>, stop: CancellationToken) {
        pump(self.session, self.stream, Some(answer.into()), link, stop).await;
    }
}

/// Moves datagrams and reliable frames between the connection and the link until either ends.
/// What has to be said first goes ahead of all frames.
pub(crate) async fn pump(
    session: QuicSession,
    stream: Option<HelloStream>,
    answer: Option<Bytes>,
    link: Arc<Link>,
    stop: CancellationToken,
) {
    let _service = link.attendant().map(|attendant| {
        let connection = session.connection().clone();
        attendant.serve(Arc::clone(&link), connection)
    });
    let ordered = async {
        let Some(stream) = stream else {
            return std::future::pending().await;
        };
        match stream.serve(answer, &link).await {
            Some(reason) => reason,
            None => session.lost().await,
        }
    };
    let reason = tokio::select! {
        // In this order, so that frames which came before the end are heard before it.
        biased;
        reason = link.wait_closed() => reason,
        () = stop.cancelled() => link.finish(CloseReason::stopping()),
        reason = ordered => link.finish(reason),
        reason = receive(&session, &link) => link.finish(reason),
        reason = transmit(&session, &link) => link.finish(reason),
        reason = link.last_words_overdue() => link.finish(reason),
        reason = flooded(&session, &link) => link.finish(reason),
    };
    session.close(reason.code, &reason.text).await;
}

/// Ends when a client sends more packets than anybody may, whatever is in them.
async fn flooded(session: &QuicSession, link: &Link) -> CloseReason {
    if link.config().end == End::Client {
        return std::future::pending().await;
    }
    let mut looks = interval(Duration::from_secs(1));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        looks.tick().await;
        let now = session.connection().stats().udp_rx.datagrams;
        if now - before.replace(now).unwrap_or(now) > QUIC_PACKETS_PER_S_MAX {
            return CloseReason::flooded();
        }
    }
}

async fn receive(session: &QuicSession, link: &Link) -> CloseReason {
    if link.attendant().is_some() {
        return session.lost().await;
    }
    loop {
        match session.session.read_datagram().await {
            Ok(payload) => link.deliver_admitted(payload),
            // A datagram of another session than this one; HTTP/3 would allow several.
            Err(SessionError::WebTransportError(WebTransportError::UnknownSession)) => {}
            Err(error) => return session.close_reason(&error),
        }
    }
}

async fn transmit(session: &QuicSession, link: &Link) -> CloseReason {
    loop {
        let payload = link.next_outgoing().await;
        let size = payload.len();
        match session.session.send_datagram_wait(payload).await {
            Ok(()) => link.note_sent(size),
            Err(SessionError::SendDatagramError(SendDatagramError::TooLarge)) => {
                link.count_drops(DropReason::OutgoingTooLarge, 1);
            }
            Err(SessionError::SendDatagramError(
                SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled,
            )) => {
                let text = "the peer takes no datagrams";
                return CloseReason::new(CloseCode::ProtocolMismatch, text, Side::Us);
            }
            Err(error) => return session.close_reason(&error),
        }
    }
}

/// Connects to the first of these addresses that answers. Returns who attends the driver, too.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    addresses: Vec<SocketAddr>,
    host: &str,
    config: &ClientConfig,
) -> Result<Attended, AttemptError> {
    let attempts = addresses.into_iter().map(|address| {
        let config = config.clone();
        async move {
            let (connecting, attendant) = attended(|| endpoint.connect_with(config, address, host));
            let connecting = connecting.map_err(|error| AttemptError::Quic(error.to_string()))?;
            let connection = connecting.await;
            let connection = connection.map_err(|error| AttemptError::Quic(error.to_string()))?;
            Ok((connection, attendant))
        }
    });
    let (connection, attendant) = race(STAGGER, attempts).await.map_err(AttemptError::first)?;
    if connection.max_datagram_size().is_none() {
        return Err(AttemptError::Quic(
            "the server takes no datagrams".to_owned(),
        ));
    }
    Ok((connection, attendant))
}

/// Says the Hello and hears the answer. The stream stays open in thin mode.
pub(crate) async fn greet(
    session: &QuicSession,
    hello: Vec<u8>,
    mode: Mode,
) -> Result<(Answer, HelloStream), GreetError> {
    let opened = session.session.open_bi().await;
    let (mut send, mut receive) =
        opened.map_err(|error| GreetError::Lost(session.close_reason(&error)))?;
    // Whether it arrives shows in the answer.
    let _ = stream::write_frames(&mut send, [hello.into()]).await;
    if mode == Mode::Native {
        let _ = send.finish();
    }
    match stream::read_greeting(&mut receive).await {
        Ok(answer) => {
            let answer = Answer::decode(&answer).map_err(GreetError::Malformed)?;
            Ok((answer, HelloStream { send, receive }))
        }
        Err(ReadFrameError::Lost) => Err(GreetError::Lost(session.lost().await)),
        Err(ReadFrameError::Malformed(error)) => Err(GreetError::Malformed(error)),
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
