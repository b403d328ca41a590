//! The HTTP answer of the WebSocket port to anything that is no WebSocket handshake: a page opened
//! by mistake, a health check, a client of another version, a proxy that does not pass the upgrade
//! on. It knows no frame.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};

use crate::limits::{CLOSE_DEADLINE, WEBSOCKET_MESSAGE_MAX, WEBSOCKET_READ};

const TEXT: &str = "this port is for games: it speaks WebSocket, version 13\n";

/// The HTTP answer to a handshake that failed so; none when nobody is there to read it, or they
/// were answered already.
pub(crate) fn answer(error: &WsError) -> Option<String> {
    let WsError::Protocol(error) = error else {
        let is_unreadable = matches!(error, WsError::HttpFormat(_) | WsError::AttackAttempt);
        return is_unreadable.then(|| response("400 Bad Request", ""));
    };
    let asks_for_something_else = matches!(
        error,
        ProtocolError::WrongHttpMethod
            | ProtocolError::WrongHttpVersion
            | ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::MissingSecWebSocketVersionHeader
    );
    if asks_for_something_else {
        // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
        let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        return Some(response("426 Upgrade Required", upgrade));
    }
    let is_gone = matches!(error, ProtocolError::HandshakeIncomplete);
    (!is_gone).then(|| response("400 Bad Request", ""))
}

fn response(status: &str, fields: &str) -> String {
    let connection = if fields.is_empty() {
        "close"
    } else {
        "Upgrade, close"
    };
    format!(
        "HTTP/1.1 {status}\r\nConnection: {connection}\r\n{fields}\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{TEXT}",
        TEXT.len()
    )
}

/// Sends this and closes, so that it arrives.
pub(crate) async fn send(mut stream: TcpStream, answer: &str) {
    let sent = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // What was sent besides has to be read: the system would reset the connection otherwise,
        // and the answer with it.
        let mut rest = [0; WEBSOCKET_READ];
        for _ in 0..WEBSOCKET_MESSAGE_MAX / WEBSOCKET_READ {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(())
    };
    // A peer that does not read gets no answer.
    let _ = timeout(CLOSE_DEADLINE, sent).await;
}
