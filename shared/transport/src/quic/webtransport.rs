//! The handshakes of WebTransport, both ends: HTTP/3 on a QUIC connection, for browsers. What
//! comes out is a session that is served like a bare QUIC connection. It knows no Hello.

use quinn::crypto::rustls::HandshakeData;
use tokio::time::timeout;
use url::Url;
use web_transport_quinn::http::StatusCode;
use web_transport_quinn::{Request, Session};

use crate::error::AttemptError;
use crate::limits::{ALPN_WEB, CLOSE_DEADLINE};
use crate::origins::Origins;
use crate::quic::session::{QuicSession, datagram_size_max};

/// True when the client chose HTTP/3 in the QUIC handshake.
pub(crate) fn is_chosen(connection: &quinn::Connection) -> bool {
    let data = connection.handshake_data();
    let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(ALPN_WEB))
}

/// Does the server's half of the handshake, at any path. None when the client did not do its
/// half, or is a page that may not connect, which is refused.
pub(crate) async fn accept(
    connection: quinn::Connection,
    origins: &Origins,
) -> Option<QuicSession> {
    let size_max = datagram_size_max(&connection);
    let request = Request::accept(connection.clone()).await.ok()?;
    if origins.admit(&request.headers) {
        return Some(QuicSession::web(request.ok().await.ok()?, size_max));
    }
    request.reject(StatusCode::FORBIDDEN).await.ok()?;
    // The answer must not be overtaken by the end of the connection.
    let _ = timeout(CLOSE_DEADLINE, connection.closed()).await;
    None
}

/// Does the client's half of the handshake.
pub(crate) async fn connect(
    connection: quinn::Connection,
    url: &str,
) -> Result<QuicSession, AttemptError> {
    let url: Url = url
        .parse()
        .map_err(|_| AttemptError::BadUrl(url.to_owned()))?;
    let size_max = datagram_size_max(&connection);
    let session = Session::connect(connection, url).await;
    let session = session.map_err(|error| AttemptError::WebTransport(error.to_string()))?;
    Ok(QuicSession::web(session, size_max))
}
