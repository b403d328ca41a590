//! The QUIC carrier, both ends: configuration with every limit set, the Hello on the first
//! stream, and the pump between quinn's datagrams and a link's queues.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, ConnectionError, Endpoint, IdleTimeout, ReadError, ReadExactError, RecvStream,
    SendDatagramError, SendStream, ServerConfig, TransportConfig, VarInt, WriteError,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::arrival::HelloError;
use crate::certificate::{IdentityError, ServerCertificate, ServerIdentity};
use crate::close::{CloseCode, CloseReason, Side};
use crate::connect::{AttemptError, GreetError};
use crate::events::DropReason;
use crate::frame::{Answer, FrameError, Hello, Refused};
use crate::limits::{
    ALPN, ANSWER_DEADLINE, DATAGRAM_SIZE_MAX, FRAME_BYTES_MAX, KEEP_ALIVE, QUIC_CONNECTION_WINDOW,
    QUIC_CRYPTO_BUFFER, QUIC_DATAGRAM_RECEIVE_BUFFER, QUIC_DATAGRAM_SEND_BUFFER,
    QUIC_INCOMING_BUFFER, QUIC_INCOMING_BUFFER_TOTAL, QUIC_INCOMING_MAX, QUIC_SEND_WINDOW,
    QUIC_STREAM_WINDOW, QUIC_STREAMS_MAX, STAGGER,
};
use crate::link::Link;
use crate::race::race;

/// The server's side of the configuration.
pub(crate) fn server_config(
    certificate: &ServerCertificate,
    idle_timeout: Duration,
) -> Result<ServerConfig, IdentityError> {
    let tls = QuicServerConfig::try_from(certificate.tls_config(ALPN)?);
    let tls = tls.map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut transport = transport_config(idle_timeout);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(QUIC_STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(QUIC_STREAMS_MAX));
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(QUIC_INCOMING_MAX)
        .incoming_buffer_size(QUIC_INCOMING_BUFFER)
        .incoming_buffer_size_total(QUIC_INCOMING_BUFFER_TOTAL);
    Ok(config)
}

/// The client's side: the server may open no stream, and the client keeps the link alive.
pub(crate) fn client_config(
    identity: ServerIdentity,
    idle_timeout: Duration,
) -> Result<ClientConfig, IdentityError> {
    let tls = QuicClientConfig::try_from(identity.tls_config(Some(ALPN))?);
    let tls = tls.map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut transport = transport_config(idle_timeout);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .keep_alive_interval(Some(KEEP_ALIVE));
    let mut config = ClientConfig::new(Arc::new(tls));
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
        .datagram_receive_buffer_size(Some(QUIC_DATAGRAM_RECEIVE_BUFFER))
        .datagram_send_buffer_size(QUIC_DATAGRAM_SEND_BUFFER);
    config
}

/// Largest payload that this connection takes on any path; none when the peer has no datagrams.
/// It is read once, early: before the path is explored it is the size that every path takes.
pub(crate) fn datagram_size_max(connection: &quinn::Connection) -> Option<usize> {
    connection
        .max_datagram_size()
        .map(|size| size.min(DATAGRAM_SIZE_MAX))
}

/// The server's end of a connection whose handshake is over.
#[derive(Debug)]
pub(crate) struct ServerEnd {
    pub(crate) connection: quinn::Connection,
    answer: Option<SendStream>,
}

impl ServerEnd {
    pub(crate) fn new(connection: quinn::Connection) -> Self {
        Self {
            connection,
            answer: None,
        }
    }

    pub(crate) async fn read_hello(&mut self) -> Result<Hello, HelloError> {
        let (answer, mut hello) = self
            .connection
            .accept_bi()
            .await
            .map_err(|_| HelloError::Gone)?;
        self.answer = Some(answer);
        let bytes = read_frame(&mut hello).await.map_err(|error| match error {
            ReadFrameError::Lost(_) => HelloError::Gone,
            ReadFrameError::Malformed(error) => HelloError::Malformed(error),
        })?;
        Hello::decode(&bytes).map_err(HelloError::Malformed)
    }

    /// Delivers a refusal, then closes.
    pub(crate) async fn refuse(mut self, refused: &Refused, answer: &[u8]) {
        if let Some(stream) = self.answer.take() {
            // A client that is gone needs no answer.
            let _ = timeout(ANSWER_DEADLINE, deliver(stream, answer)).await;
        }
        close(&self.connection, refused.code.close_code(), &refused.text);
    }

    /// Sends the answer and serves the link until it ends.
    pub(crate) async fn run(mut self, answer: Vec<u8>, link: Arc<Link>, stop: CancellationToken) {
        // Side by side, so that a client which does not take its answer can still be closed.
        let delivery = async {
            let Some(stream) = self.answer.take() else {
                return;
            };
            if timeout(ANSWER_DEADLINE, deliver(stream, &answer))
                .await
                .is_err()
            {
                link.close(CloseCode::Timeout, "the answer was not taken in time");
            }
        };
        tokio::join!(delivery, pump(self.connection, Arc::clone(&link), stop));
    }
}

/// Moves datagrams between the connection and the link until either ends.
pub(crate) async fn pump(connection: quinn::Connection, link: Arc<Link>, stop: CancellationToken) {
    let reason = tokio::select! {
        reason = link.wait_closed() => reason,
        reason = receive(&connection, &link) => link.finish(reason),
        reason = transmit(&connection, &link) => link.finish(reason),
        () = stop.cancelled() => link.finish(CloseReason::stopping()),
    };
    close(&connection, reason.code, &reason.text);
}

async fn receive(connection: &quinn::Connection, link: &Link) -> CloseReason {
    loop {
        match connection.read_datagram().await {
            Ok(payload) => link.deliver(payload),
            Err(error) => return close_reason(&error),
        }
    }
}

async fn transmit(connection: &quinn::Connection, link: &Link) -> CloseReason {
    loop {
        let payload = link.next_outgoing().await;
        let size = payload.len();
        match connection.send_datagram_wait(payload).await {
            Ok(()) => link.note_sent(size),
            Err(SendDatagramError::TooLarge) => link.count_drops(DropReason::OutgoingTooLarge, 1),
            Err(SendDatagramError::ConnectionLost(error)) => return close_reason(&error),
            Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
                let text = "the peer takes no datagrams";
                return CloseReason::new(CloseCode::ProtocolMismatch, text, Side::Us);
            }
        }
    }
}

/// Connects to the first of these addresses that answers.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    addresses: Vec<SocketAddr>,
    host: &str,
    identity: ServerIdentity,
    idle_timeout: Duration,
) -> Result<quinn::Connection, AttemptError> {
    let config = client_config(identity, idle_timeout)?;
    let attempts = addresses.into_iter().map(|address| {
        let config = config.clone();
        async move {
            let connecting = endpoint.connect_with(config, address, host);
            let connecting = connecting.map_err(|error| AttemptError::Quic(error.to_string()))?;
            connecting
                .await
                .map_err(|error| AttemptError::Quic(error.to_string()))
        }
    });
    let connection = race(STAGGER, attempts).await.map_err(AttemptError::first)?;
    if connection.max_datagram_size().is_none() {
        return Err(AttemptError::Quic(
            "the server takes no datagrams".to_owned(),
        ));
    }
    Ok(connection)
}

/// Says the Hello and hears the answer.
pub(crate) async fn greet(
    connection: &quinn::Connection,
    hello: &[u8],
) -> Result<Answer, GreetError> {
    let lost = |error: &ConnectionError| GreetError::Lost(close_reason(error));
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| lost(&error))?;
    if let Err(WriteError::ConnectionLost(error)) = write_frame(&mut send, hello).await {
        return Err(lost(&error));
    }
    let _ = send.finish();
    let answer = read_frame(&mut receive)
        .await
        .map_err(|error| match error {
            ReadFrameError::Lost(error) => lost(&error),
            ReadFrameError::Malformed(error) => GreetError::Malformed(error),
        })?;
    Answer::decode(&answer).map_err(GreetError::Malformed)
}

pub(crate) fn close(connection: &quinn::Connection, code: CloseCode, text: &str) {
    connection.close(VarInt::from_u32(code.quic_code()), text.as_bytes());
}

enum ReadFrameError {
    Lost(ConnectionError),
    Malformed(FrameError),
}

impl From<ReadExactError> for ReadFrameError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::ReadError(ReadError::ConnectionLost(error)) => Self::Lost(error),
            ReadExactError::ReadError(_) | ReadExactError::FinishedEarly(_) => {
                Self::Malformed(FrameError::Malformed { field: "frame" })
            }
        }
    }
}

async fn read_frame(stream: &mut RecvStream) -> Result<Vec<u8>, ReadFrameError> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > FRAME_BYTES_MAX {
        return Err(ReadFrameError::Malformed(FrameError::TooLong));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write_frame(stream: &mut SendStream, frame: &[u8]) -> Result<(), WriteError> {
    let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
    let prefixed = [&length.to_be_bytes(), frame].concat();
    stream.write_chunk(Bytes::from(prefixed)).await
}

/// Writes a frame and waits until the peer has all of it.
async fn deliver(mut stream: SendStream, frame: &[u8]) -> Result<(), WriteError> {
    write_frame(&mut stream, frame).await?;
    let _ = stream.finish();
    let _ = stream.stopped().await;
    Ok(())
}

fn close_reason(error: &ConnectionError) -> CloseReason {
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
