//! The WebSocket carrier, both ends, for networks where UDP is blocked: one payload is one binary
//! message. TLS of the server ends at a proxy; clients speak `ws://` and `wss://`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use crate::arrival::HelloError;
use crate::certificate::ServerIdentity;
use crate::close::{CloseCode, CloseReason, Side, cut};
use crate::connect::{AttemptError, GreetError};
use crate::frame::{Answer, FrameError, Hello, Refused};
use crate::limits::{
    CLOSE_DEADLINE, CLOSE_TEXT_LENGTH_MAX, KEEP_ALIVE, RELIABLE_FRAME_BYTES_MAX, WEBSOCKET_BUFFER,
    WEBSOCKET_MESSAGE_MAX, WEBSOCKET_SUBPROTOCOL, WEBSOCKET_WRITE_BUFFER_MAX,
};
use crate::link::Link;
use crate::origins::Origins;
use crate::sockets;

/// A client's stream, with or without TLS.
pub(crate) type ClientStream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server takes little; a client takes the largest reliable frame.
fn config(message_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(WEBSOCKET_BUFFER)
        .write_buffer_size(WEBSOCKET_BUFFER)
        .max_write_buffer_size(WEBSOCKET_WRITE_BUFFER_MAX)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max))
}

/// The server's end of a connection whose handshake is over.
#[derive(Debug)]
pub(crate) struct ServerEnd {
    stream: WebSocketStream<TcpStream>,
}

impl ServerEnd {
    /// Does the server's half of the HTTP handshake.
    pub(crate) async fn accept(stream: TcpStream, origins: &Origins) -> Result<Self, WsError> {
        sockets::tune(&stream)?;
        let config = config(WEBSOCKET_MESSAGE_MAX);
        let handshake =
            tokio_tungstenite::accept_hdr_async_with_config(stream, Gate { origins }, Some(config));
        // Boxed because it is large, and pending handshakes are many.
        Ok(Self {
            stream: Box::pin(handshake).await?,
        })
    }

    pub(crate) async fn read_hello(&mut self) -> Result<Hello, HelloError> {
        match read_message(&mut self.stream).await {
            Ok(bytes) => Hello::decode(&bytes).map_err(HelloError::Malformed),
            Err(reason) if reason.by == Side::Us => {
                Err(HelloError::Malformed(FrameError::Malformed {
                    field: "message",
                }))
            }
            Err(_) => Err(HelloError::Gone),
        }
    }

    /// Delivers a refusal, then closes.
    pub(crate) async fn refuse(mut self, refused: &Refused, answer: Vec<u8>) {
        let code = refused.code.close_code();
        let delivery = async {
            self.stream.send(Message::Binary(answer.into())).await?;
            say_goodbye(&mut self.stream, code, &refused.text).await
        };
        // A client that is gone needs no answer.
        let _ = timeout(CLOSE_DEADLINE, delivery).await;
    }

    /// Sends the answer and serves the link until it ends.
    pub(crate) async fn run(
        self,
        answer: Vec<u8>,
        link: Arc<Link>,
        idle_timeout: Duration,
        stop: CancellationToken,
    ) {
        let answer = Some(Message::Binary(answer.into()));
        pump(self.stream, answer, link, idle_timeout, stop).await;
    }
}

/// Decides on the HTTP request of a handshake.
struct Gate<'a> {
    origins: &'a Origins,
}

impl Callback for Gate<'_> {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        if !self.origins.admit(request.headers()) {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            return Err(refusal);
        }
        let asked = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let mut asked = asked
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','));
        if asked.any(|name| name.trim() == WEBSOCKET_SUBPROTOCOL) {
            let ours = HeaderValue::from_static(WEBSOCKET_SUBPROTOCOL);
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, ours);
        }
        Ok(response)
    }
}

/// Connects and does the client's half of the handshakes.
pub(crate) async fn dial(
    url: &str,
    host: &str,
    port: u16,
    identity: ServerIdentity,
) -> Result<ClientStream, AttemptError> {
    let mut request = url.into_client_request()?;
    let ours = HeaderValue::from_static(WEBSOCKET_SUBPROTOCOL);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, ours);
    let connector = if request.uri().scheme_str() == Some("wss") {
        Connector::Rustls(Arc::new(identity.tls_config(None)?))
    } else {
        Connector::Plain
    };
    let stream = TcpStream::connect((host, port)).await?;
    sockets::tune(&stream)?;
    let handshake = tokio_tungstenite::client_async_tls_with_config(
        request,
        stream,
        Some(config(RELIABLE_FRAME_BYTES_MAX)),
        Some(connector),
    );
    // Boxed because it is large: a thousand bots connect at once.
    let (stream, _response) = Box::pin(handshake).await?;
    Ok(stream)
}

/// The server's address.
pub(crate) fn peer_address(stream: &ClientStream) -> io::Result<SocketAddr> {
    match stream.get_ref() {
        MaybeTlsStream::Plain(stream) => stream.peer_addr(),
        MaybeTlsStream::Rustls(stream) => stream.get_ref().0.peer_addr(),
        // The enum is open; these two are the ones that `dial` makes.
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Says the Hello and hears the answer.
pub(crate) async fn greet(stream: &mut ClientStream, hello: Vec<u8>) -> Result<Answer, GreetError> {
    let sent = stream.send(Message::Binary(hello.into())).await;
    sent.map_err(|error| GreetError::Lost(close_reason(&error)))?;
    let answer = read_message(stream).await.map_err(GreetError::Lost)?;
    Answer::decode(&answer).map_err(GreetError::Malformed)
}

/// Moves messages between the stream and the link until either ends. What has to be said first
/// goes ahead of all payloads.
pub(crate) async fn pump<S>(
    stream: WebSocketStream<S>,
    first: Option<Message>,
    link: Arc<Link>,
    idle_timeout: Duration,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pulse = Pulse::new();
    let (mut sink, mut stream) = stream.split();
    let reason = tokio::select! {
        reason = link.wait_closed() => reason,
        reason = receive(&mut stream, &link, &pulse, idle_timeout) => link.finish(reason),
        reason = transmit(&mut sink, first, &link, &pulse) => link.finish(reason),
        reason = link.last_words_overdue() => link.finish(reason),
        () = stop.cancelled() => link.finish(CloseReason::stopping()),
    };
    // The peer may be gone or may not read; then the socket is dropped at the deadline.
    let _ = timeout(CLOSE_DEADLINE, finish(sink, stream, &reason)).await;
}

async fn finish<S>(
    sink: SplitSink<WebSocketStream<S>, Message>,
    stream: SplitStream<WebSocketStream<S>>,
    reason: &CloseReason,
) -> Result<(), WsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut stream) = stream.reunite(sink) else {
        return Ok(());
    };
    match reason.by {
        Side::Us => say_goodbye(&mut stream, reason.code, &reason.text).await,
        // tungstenite has the echo of the peer's close frame ready.
        Side::Peer => stream.flush().await,
        // Whoever can still hear learns why.
        Side::Network => send_close(&mut stream, reason.code, &reason.text).await,
    }
}

async fn receive<S>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    link: &Link,
    pulse: &Pulse,
    idle_timeout: Duration,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let Ok(message) = timeout(idle_timeout, stream.next()).await else {
            let text = "nothing was heard for too long";
            return CloseReason::new(CloseCode::Timeout, text, Side::Network);
        };
        match judge(message) {
            Received::Payload(payload) => link.deliver(payload).await,
            Received::Pong(stamp) => {
                if let Some(round_trip) = pulse.round_trip(&stamp) {
                    link.note_round_trip(round_trip);
                }
            }
            Received::Nothing => {}
            Received::End(reason) => return reason,
        }
    }
}

async fn transmit<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    first: Option<Message>,
    link: &Link,
    pulse: &Pulse,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(first) = first
        && let Err(error) = sink.send(first).await
    {
        return close_reason(&error);
    }
    let mut pings = tokio::time::interval(KEEP_ALIVE);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            // In this order, so that a frame which has to come first does.
            biased;
            _ = pings.tick() => sink.send(Message::Ping(pulse.stamp())).await,
            frames = link.next_reliable() => match frames {
                Ok(frames) => write_reliable(sink, link, frames).await,
                Err(end) => return end,
            },
            payload = link.next_outgoing() => write_all(sink, link, payload).await,
        };
        if let Err(error) = written {
            return close_reason(&error);
        }
    }
}

/// Writes reliable frames, then flushes once.
async fn write_reliable<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    link: &Link,
    frames: Vec<Bytes>,
) -> Result<(), WsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for frame in frames {
        let size = frame.len();
        sink.feed(Message::Binary(frame)).await?;
        link.note_sent_reliable(size);
    }
    sink.flush().await
}

/// Writes this payload and all that wait behind it, then flushes once.
async fn write_all<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    link: &Link,
    first: Bytes,
) -> Result<(), WsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut next = Some(first);
    while let Some(payload) = next {
        let size = payload.len();
        sink.feed(Message::Binary(payload)).await?;
        link.note_sent(size);
        next = link.try_outgoing();
    }
    sink.flush().await
}

/// The next binary message; anything else is the reason for the end.
async fn read_message<S>(stream: &mut S) -> Result<Bytes, CloseReason>
where
    S: Stream<Item = Result<Message, WsError>> + Unpin,
{
    loop {
        match judge(stream.next().await) {
            Received::Payload(payload) => return Ok(payload),
            Received::Pong(_) | Received::Nothing => {}
            Received::End(reason) => return Err(reason),
        }
    }
}

/// Sends a close frame and waits for the peer's, so that the socket's last bytes are read and not
/// reset away.
async fn say_goodbye<S>(stream: &mut S, code: CloseCode, text: &str) -> Result<(), WsError>
where
    S: Stream<Item = Result<Message, WsError>> + Sink<Message, Error = WsError> + Unpin,
{
    send_close(stream, code, text).await?;
    while let Some(Ok(_)) = stream.next().await {}
    Ok(())
}

async fn send_close<S>(sink: &mut S, code: CloseCode, text: &str) -> Result<(), WsError>
where
    S: Sink<Message, Error = WsError> + Unpin,
{
    let text = cut(text, CLOSE_TEXT_LENGTH_MAX);
    let frame = CloseFrame {
        code: code.websocket_code().into(),
        reason: text.into(),
    };
    sink.send(Message::Close(Some(frame))).await
}

/// Closes a stream whose answer was read, without waiting for the peer.
pub(crate) async fn leave(mut stream: ClientStream) {
    let goodbye = send_close(&mut stream, CloseCode::Consented, "");
    // The server closes by itself as well.
    let _ = timeout(CLOSE_DEADLINE, goodbye).await;
}

enum Received {
    Payload(Bytes),
    Pong(Bytes),
    Nothing,
    End(CloseReason),
}

fn judge(message: Option<Result<Message, WsError>>) -> Received {
    match message {
        Some(Ok(Message::Binary(payload))) => Received::Payload(payload),
        Some(Ok(Message::Pong(stamp))) => Received::Pong(stamp),
        // tungstenite answers pings by itself.
        Some(Ok(Message::Ping(_))) => Received::Nothing,
        Some(Ok(Message::Close(frame))) => Received::End(peer_close(frame)),
        Some(Ok(Message::Text(_) | Message::Frame(_))) => {
            let text = "only binary messages are understood";
            Received::End(CloseReason::new(CloseCode::ProtocolError, text, Side::Us))
        }
        Some(Err(error)) => Received::End(close_reason(&error)),
        None => Received::End(CloseReason::new(CloseCode::Lost, "", Side::Network)),
    }
}

fn peer_close(frame: Option<CloseFrame>) -> CloseReason {
    match frame {
        Some(frame) => {
            let code = CloseCode::from_websocket_code(frame.code.into());
            CloseReason::new(code, &frame.reason, Side::Peer)
        }
        None => CloseReason::new(CloseCode::Consented, "", Side::Peer),
    }
}

fn close_reason(error: &WsError) -> CloseReason {
    let broken = matches!(
        error,
        WsError::Io(_)
            | WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
    );
    if broken {
        CloseReason::new(CloseCode::Lost, &error.to_string(), Side::Network)
    } else {
        CloseReason::new(CloseCode::ProtocolError, &error.to_string(), Side::Us)
    }
}

/// Measures the round trip by pings that carry the time they were sent.
struct Pulse {
    began: Instant,
    last_ping_us: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            last_ping_us: AtomicU64::new(u64::MAX),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn stamp(&self) -> Bytes {
        let now_us = self.now_us();
        self.last_ping_us.store(now_us, Relaxed);
        Bytes::copy_from_slice(&now_us.to_be_bytes())
    }

    /// The time since the last ping, if this is its answer. Pongs that nobody asked for, which
    /// the peer may send at will, say nothing.
    fn round_trip(&self, stamp: &[u8]) -> Option<Duration> {
        let sent_us = u64::from_be_bytes(stamp.try_into().ok()?);
        let expected = sent_us == self.last_ping_us.swap(u64::MAX, Relaxed);
        expected.then(|| Duration::from_micros(self.now_us().saturating_sub(sent_us)))
    }
}
