//! The HTTP handshakes of WebSocket, both ends. TLS of the server ends at a proxy; clients connect
//! to `ws://` and `wss://`. It knows no Hello.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::Request as ClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::certificate::ServerIdentity;
use crate::error::AttemptError;
use crate::limits::{
    RELIABLE_FRAME_BYTES_MAX, WEBSOCKET_BUFFER, WEBSOCKET_MESSAGE_MAX, WEBSOCKET_READ,
    WEBSOCKET_SUBPROTOCOL, WEBSOCKET_WRITE_BUFFER_MAX,
};
use crate::origins::Origins;
use crate::sockets;
use crate::websocket::byte_stream::ClientStream;
use crate::websocket::encoding::Encoding;
use crate::websocket::http_rejection;
use crate::websocket::message_socket::MessageSocket;

/// A server takes little; a client takes the largest reliable frame.
fn config(message_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(WEBSOCKET_READ)
        .write_buffer_size(WEBSOCKET_BUFFER)
        .max_write_buffer_size(WEBSOCKET_WRITE_BUFFER_MAX)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max))
}

/// Does the server's half. A client that asks for something else learns what is spoken here.
pub(crate) async fn accept(
    mut stream: TcpStream,
    origins: &Origins,
) -> Result<(MessageSocket, Encoding), WsError> {
    sockets::tune(&stream)?;
    let config = config(WEBSOCKET_MESSAGE_MAX);
    let mut encoding = Encoding::default();
    let gate = UpgradeCheck {
        origins,
        encoding: &mut encoding,
    };
    let handshake =
        tokio_tungstenite::accept_hdr_async_with_config(&mut stream, gate, Some(config));
    // Boxed because it is large, and pending handshakes are many. Whoever sends more than the
    // request before the answer is refused by it, so there is nothing left in its buffer.
    if let Err(error) = Box::pin(handshake).await.map(drop) {
        if let Some(answer) = http_rejection::answer(&error) {
            http_rejection::send(stream, &answer).await;
        }
        return Err(error);
    }
    let socket = MessageSocket::tcp(stream, Role::Server, config);
    Ok((socket, encoding))
}

/// Decides on the HTTP request of a handshake.
struct UpgradeCheck<'a> {
    origins: &'a Origins,
    encoding: &'a mut Encoding,
}

impl Callback for UpgradeCheck<'_> {
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

/// Does the client's half, TLS included.
pub(crate) async fn connect(
    url: &str,
    stream: ClientStream,
    identity: ServerIdentity,
) -> Result<MessageSocket, AttemptError> {
    let connector = if url.starts_with("wss:") {
        Connector::Rustls(Arc::new(identity.tls_config(None)?))
    } else {
        Connector::Plain
    };
    let config = config(RELIABLE_FRAME_BYTES_MAX);
    let handshake = tokio_tungstenite::client_async_tls_with_config(
        request(url)?,
        stream,
        Some(config),
        Some(connector),
    );
    // Boxed because it is large: a thousand bots connect at once.
    let (stream, _response) = Box::pin(handshake).await?;
    // The server sends nothing before the Hello, so nothing is left in the buffer.
    Ok(MessageSocket::client(stream.into_inner(), config))
}

/// A client's request for our sub-protocol.
pub(crate) fn request(url: &str) -> Result<ClientRequest, WsError> {
    let mut request = url.into_client_request()?;
    let ours = HeaderValue::from_static(WEBSOCKET_SUBPROTOCOL);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, ours);
    Ok(request)
}
