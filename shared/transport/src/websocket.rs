//! The WebSocket carrier, both ends, for networks where UDP is blocked: one payload is one message,
//! binary, or text for clients that asked for JSON. TLS of the server ends at a proxy; clients
//! speak `ws://` and `wss://`.
//!
//! Over plain TCP a [`Socket`] carries the messages, which whoever sends can write to at once; what
//! is encrypted has a pump.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::Request as ClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::arrival::HelloError;
use crate::certificate::ServerIdentity;
use crate::close::{CloseCode, CloseReason, Side};
use crate::connect::{AttemptError, GreetError};
use crate::encoding::{Encoding, NoFrame};
use crate::events::DropReason;
use crate::frame::{Answer, FrameError, Hello, Mode, Refused};
use crate::keeper::{close_message, keep, part};
use crate::limits::{
    CLOSE_DEADLINE, KEEP_ALIVE, RELIABLE_FRAME_BYTES_MAX, WEBSOCKET_BUFFER, WEBSOCKET_MESSAGE_MAX,
    WEBSOCKET_READ, WEBSOCKET_SUBPROTOCOL, WEBSOCKET_WRITE_BUFFER_MAX,
};
use crate::link::{Link, PostedSocket};
use crate::no_websocket;
use crate::origins::Origins;
use crate::pulse::Pulse;
use crate::socket::{Abuse, Socket};
use crate::sockets;

/// A client's stream that has a pump.
pub(crate) type ClientStream = WebSocketStream<MaybeTlsStream<ClientSocket>>;

/// What it runs on: TCP, or the end of a relay that puts conditions on it.
pub(crate) type ClientSocket = Either<TcpStream, DuplexStream>;

/// A server takes little; a client takes the largest reliable frame.
fn config(message_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(WEBSOCKET_READ)
        .write_buffer_size(WEBSOCKET_BUFFER)
        .max_write_buffer_size(WEBSOCKET_WRITE_BUFFER_MAX)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max))
}

/// The server's end of a connection whose handshake is over.
#[derive(Debug)]
pub(crate) struct ServerEnd {
    socket: Arc<Socket>,
    encoding: Encoding,
}

impl ServerEnd {
    /// Does the server's half of the HTTP handshake. Who asks for something else is told what is
    /// spoken here.
    pub(crate) async fn accept(mut stream: TcpStream, origins: &Origins) -> Result<Self, WsError> {
        sockets::tune(&stream)?;
        let config = config(WEBSOCKET_MESSAGE_MAX);
        let mut encoding = Encoding::default();
        let gate = Gate {
            origins,
            encoding: &mut encoding,
        };
        let handshake =
            tokio_tungstenite::accept_hdr_async_with_config(&mut stream, gate, Some(config));
        // Boxed because it is large, and pending handshakes are many. Whoever sends more than the
        // request before the answer is refused by it, so there is nothing left in its buffer.
        if let Err(error) = Box::pin(handshake).await.map(drop) {
            if let Some(answer) = no_websocket::answer(&error) {
                no_websocket::turn_away(stream, &answer).await;
            }
            return Err(error);
        }
        let socket = Arc::new(Socket::new(stream, Role::Server, config));
        Ok(Self { socket, encoding })
    }

    /// What its datagrams are written to.
    pub(crate) fn posted(&self) -> PostedSocket {
        (Arc::clone(&self.socket), self.encoding)
    }

    pub(crate) async fn read_hello(&mut self) -> Result<Hello, HelloError> {
        let malformed = |field| HelloError::Malformed(FrameError::Malformed { field });
        match read_payload(&self.socket, self.encoding).await {
            Ok(bytes) => {
                let hello = Hello::decode(&bytes).map_err(HelloError::Malformed)?;
                // What native mode sends is no frame and has no equal in JSON.
                if self.encoding == Encoding::Json && hello.mode == Mode::Native {
                    return Err(malformed("mode"));
                }
                Ok(hello)
            }
            Err(reason) if reason.by == Side::Us => Err(malformed("message")),
            Err(_) => Err(HelloError::Gone),
        }
    }

    /// Delivers a refusal, then closes.
    pub(crate) async fn refuse(self, refused: &Refused, answer: Vec<u8>) {
        let code = refused.code.close_code();
        let Ok(answer) = self.encoding.message(answer.into()) else {
            return;
        };
        let delivery = async {
            self.socket.send(answer).await?;
            part(&self.socket, code, &refused.text).await
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
        if let Ok(answer) = self.encoding.message(answer.into()) {
            let socket = (self.socket, self.encoding);
            keep(socket, Some(answer), link, idle_timeout, stop).await;
        }
    }
}

/// Decides on the HTTP request of a handshake.
struct Gate<'a> {
    origins: &'a Origins,
    encoding: &'a mut Encoding,
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
        // The first that we speak; who asks for none gets MessagePack.
        if let Some(encoding) = asked.find_map(|name| Encoding::of(name.trim())) {
            *self.encoding = encoding;
            let ours = HeaderValue::from_static(encoding.subprotocol());
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, ours);
        }
        Ok(response)
    }
}

/// Connects; the stream and the server's address.
pub(crate) async fn open(host: &str, port: u16) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect((host, port)).await?;
    sockets::tune(&stream)?;
    let peer = stream.peer_addr()?;
    Ok((stream, peer))
}

/// A client's end of a connection whose handshake is over.
#[derive(Debug)]
pub(crate) enum ClientEnd {
    /// Over plain TCP.
    Direct(Arc<Socket>),
    /// Over TLS, or under conditions.
    Pumped(Box<ClientStream>),
}

impl ClientEnd {
    /// Does the client's half of the handshakes.
    pub(crate) async fn dial(
        url: &str,
        stream: ClientSocket,
        identity: ServerIdentity,
    ) -> Result<Self, AttemptError> {
        let is_plain = !url.starts_with("wss:");
        let stream = match stream {
            Either::Left(stream) if is_plain => {
                // The server says nothing before the Hello, so nothing is left in the buffer.
                let stream = dial_plain(url, stream).await?.into_inner();
                let config = config(RELIABLE_FRAME_BYTES_MAX);
                let socket = Socket::new(stream, Role::Client, config);
                return Ok(Self::Direct(Arc::new(socket)));
            }
            stream @ (Either::Left(_) | Either::Right(_)) => stream,
        };
        let connector = if is_plain {
            Connector::Plain
        } else {
            Connector::Rustls(Arc::new(identity.tls_config(None)?))
        };
        let handshake = tokio_tungstenite::client_async_tls_with_config(
            request(url)?,
            stream,
            Some(config(RELIABLE_FRAME_BYTES_MAX)),
            Some(connector),
        );
        let (stream, _response) = Box::pin(handshake).await?;
        Ok(Self::Pumped(Box::new(stream)))
    }

    /// Says the Hello and hears the answer.
    pub(crate) async fn greet(&mut self, hello: Vec<u8>) -> Result<Answer, GreetError> {
        let hello = Message::Binary(hello.into());
        let lost = |error: WsError| GreetError::Lost(close_reason(&error));
        let answer = match self {
            Self::Direct(socket) => {
                socket.send(hello).await.map_err(lost)?;
                read_payload(socket, Encoding::MessagePack).await
            }
            Self::Pumped(stream) => {
                stream.send(hello).await.map_err(lost)?;
                read_message(stream, Encoding::MessagePack).await
            }
        };
        Answer::decode(&answer.map_err(GreetError::Lost)?).map_err(GreetError::Malformed)
    }

    /// Closes what has an answer that was read, without waiting for the peer.
    pub(crate) async fn leave(self) {
        let goodbye = close_message(CloseCode::Consented, "");
        let said = async {
            match self {
                Self::Direct(socket) => socket.send(goodbye).await,
                Self::Pumped(mut stream) => stream.send(goodbye).await,
            }
        };
        // The server closes by itself as well.
        let _ = timeout(CLOSE_DEADLINE, said).await;
    }
}

/// Does the client's half of the HTTP handshake over plain TCP.
pub(crate) async fn dial_plain(
    url: &str,
    stream: TcpStream,
) -> Result<WebSocketStream<TcpStream>, AttemptError> {
    let config = Some(config(RELIABLE_FRAME_BYTES_MAX));
    let handshake = tokio_tungstenite::client_async_with_config(request(url)?, stream, config);
    // Boxed because it is large: a thousand bots connect at once.
    let (stream, _response) = Box::pin(handshake).await?;
    Ok(stream)
}

fn request(url: &str) -> Result<ClientRequest, WsError> {
    let mut request = url.into_client_request()?;
    let ours = HeaderValue::from_static(WEBSOCKET_SUBPROTOCOL);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, ours);
    Ok(request)
}

/// Moves messages between an encrypted stream and the link until either ends.
pub(crate) async fn pump<S>(stream: WebSocketStream<S>, link: Arc<Link>, idle_timeout: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (pulse, encoding) = (Pulse::new(), Encoding::MessagePack);
    let (mut sink, mut stream) = stream.split();
    let reason = tokio::select! {
        reason = link.wait_closed() => reason,
        reason = receive(&mut stream, encoding, &link, &pulse, idle_timeout) => link.finish(reason),
        reason = transmit(&mut sink, encoding, &link, &pulse) => link.finish(reason),
        reason = link.last_words_overdue() => link.finish(reason),
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
        Side::Network => stream.send(close_message(reason.code, &reason.text)).await,
    }
}

async fn receive<S>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    encoding: Encoding,
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
        if let Err(reason) = take_in(message, encoding, link, pulse).await {
            return reason;
        }
    }
}

async fn transmit<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    encoding: Encoding,
    link: &Link,
    pulse: &Pulse,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = tokio::time::interval(KEEP_ALIVE);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            // In this order, so that a frame which has to come first does.
            biased;
            _ = pings.tick() => {
                let sent = sink.send(Message::Ping(pulse.stamp())).await;
                sent.map_err(|error| close_reason(&error))
            }
            frames = link.next_reliable() => match frames {
                Ok(frames) => write_reliable(sink, encoding, link, frames).await,
                Err(end) => return end,
            },
            payload = link.next_outgoing() => write_all(sink, encoding, link, payload).await,
        };
        if let Err(reason) = written {
            return after_the_reader(reason).await;
        }
    }
}

/// Writes reliable frames, then flushes once.
async fn write_reliable<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    encoding: Encoding,
    link: &Link,
    frames: Vec<Bytes>,
) -> Result<(), CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for frame in frames {
        let size = frame.len();
        feed(sink, encoding, frame).await?;
        link.note_sent_reliable(size);
    }
    flush(sink).await
}

/// Writes this payload and all that wait behind it, then flushes once.
async fn write_all<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    encoding: Encoding,
    link: &Link,
    first: Bytes,
) -> Result<(), CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut next = Some(first);
    while let Some(payload) = next {
        let size = payload.len();
        feed(sink, encoding, payload).await?;
        link.note_sent(size);
        next = link.try_outgoing();
    }
    flush(sink).await
}

async fn feed<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    encoding: Encoding,
    frame: Bytes,
) -> Result<(), CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let fed = sink.feed(encoding.message(frame)?).await;
    fed.map_err(|error| close_reason(&error))
}

async fn flush<S>(sink: &mut SplitSink<WebSocketStream<S>, Message>) -> Result<(), CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    sink.flush().await.map_err(|error| close_reason(&error))
}

/// The frame in the next message; anything else is the reason for the end.
async fn read_payload(socket: &Socket, encoding: Encoding) -> Result<Bytes, CloseReason> {
    loop {
        match judge(Some(socket.next().await), encoding) {
            Received::Payload(payload) => return Ok(payload),
            Received::Pong(_) | Received::Nothing => {}
            Received::BadText => return Err(bad_text()),
            Received::End(reason) => return Err(reason),
        }
    }
}

/// The same of a stream that is encrypted.
async fn read_message<S>(stream: &mut S, encoding: Encoding) -> Result<Bytes, CloseReason>
where
    S: Stream<Item = Result<Message, WsError>> + Unpin,
{
    loop {
        match judge(stream.next().await, encoding) {
            Received::Payload(payload) => return Ok(payload),
            Received::Pong(_) | Received::Nothing => {}
            Received::BadText => return Err(bad_text()),
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
    stream.send(close_message(code, text)).await?;
    while let Some(Ok(_)) = stream.next().await {}
    Ok(())
}

/// Takes in what the peer sent, or says how the connection ended.
pub(crate) async fn take_in(
    message: Option<Result<Message, WsError>>,
    encoding: Encoding,
    link: &Link,
    pulse: &Pulse,
) -> Result<(), CloseReason> {
    let bytes = message.as_ref().map_or(0, size_of_message);
    if !link.admits(bytes) {
        return Err(CloseReason::flooded());
    }
    match judge(message, encoding) {
        Received::Payload(payload) => link.deliver(payload).await,
        Received::Pong(stamp) => {
            if let Some(round_trip) = pulse.round_trip(&stamp) {
                link.note_round_trip(round_trip);
            }
        }
        Received::Nothing => {}
        Received::BadText => link.count_drops(DropReason::IncomingBadText, 1),
        Received::End(reason) => return Err(reason),
    }
    Ok(())
}

fn size_of_message(message: &Result<Message, WsError>) -> usize {
    message.as_ref().map_or(0, Message::len)
}

enum Received {
    Payload(Bytes),
    Pong(Bytes),
    Nothing,
    /// A frame with a text that is none.
    BadText,
    End(CloseReason),
}

/// The end of a handshake with such a text.
fn bad_text() -> CloseReason {
    let text = "a text in it is none";
    CloseReason::new(CloseCode::ProtocolError, text, Side::Us)
}

fn judge(message: Option<Result<Message, WsError>>, encoding: Encoding) -> Received {
    match message {
        Some(Ok(Message::Pong(stamp))) => Received::Pong(stamp),
        // tungstenite answers pings by itself.
        Some(Ok(Message::Ping(_))) => Received::Nothing,
        Some(Ok(Message::Close(frame))) => Received::End(peer_close(frame)),
        Some(Ok(message)) => match encoding.frame(message) {
            Ok(frame) => Received::Payload(frame),
            Err(NoFrame::BadText) => Received::BadText,
            Err(NoFrame::End(reason)) => Received::End(reason),
        },
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

/// How the writing half ended. When the peer has closed, its close frame says why and the reader
/// has it: that comes first, and what could not be written any more is no violation of ours.
pub(crate) async fn after_the_reader(reason: CloseReason) -> CloseReason {
    let after_its_close = close_reason(&WsError::Protocol(ProtocolError::SendAfterClosing));
    if reason == after_its_close {
        sleep(CLOSE_DEADLINE).await;
    }
    reason
}

pub(crate) fn close_reason(error: &WsError) -> CloseReason {
    if let WsError::Io(error) = error
        && let Some(abuse) = Abuse::of(error)
    {
        let code = match abuse {
            Abuse::TakesTooLittle => CloseCode::SlowConsumer,
            Abuse::NeverEnds => CloseCode::RateLimited,
        };
        return CloseReason::new(code, &abuse.to_string(), Side::Us);
    }
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
