//! How a WebSocket ends: close frames, and what an error of tungstenite means. It knows no link.

use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use crate::close::{CloseCode, CloseReason, Side, cut};
use crate::limits::CLOSE_TEXT_LENGTH_MAX;
use crate::websocket::byte_stream::PeerFault;
use crate::websocket::message_socket::MessageSocket;

pub(crate) fn close_message(code: CloseCode, text: &str) -> Message {
    let text = cut(text, CLOSE_TEXT_LENGTH_MAX);
    Message::Close(Some(CloseFrame {
        code: code.websocket_code().into(),
        reason: text.into(),
    }))
}

/// Ends a connection in the way that its reason asks for.
pub(crate) async fn close(socket: &MessageSocket, reason: &CloseReason) -> Result<(), WsError> {
    match reason.by {
        Side::Us => close_and_drain(socket, reason.code, &reason.text).await,
        // tungstenite has the echo of the peer's close frame ready.
        Side::Peer => socket.flushed().await,
        // If the peer can still receive, it learns why.
        Side::Network => socket.send(close_message(reason.code, &reason.text)).await,
    }
}

/// Sends a close frame and waits for the peer's, so that the socket's last bytes are read and not
/// reset away.
pub(crate) async fn close_and_drain(
    socket: &MessageSocket,
    code: CloseCode,
    text: &str,
) -> Result<(), WsError> {
    socket.send(close_message(code, text)).await?;
    while socket.next().await.is_ok() {}
    Ok(())
}

/// The reason in a peer's close frame.
pub(crate) fn peer_close(frame: Option<CloseFrame>) -> CloseReason {
    match frame {
        Some(frame) => {
            let code = CloseCode::from_websocket_code(frame.code.into());
            CloseReason::new(code, &frame.reason, Side::Peer)
        }
        None => CloseReason::new(CloseCode::Consented, "", Side::Peer),
    }
}

/// Whether something could not be written because the peer has closed. Its close frame states why
/// the connection ended, and what could not be written any more is no violation of ours.
pub(crate) fn is_after_peer_close(reason: &CloseReason) -> bool {
    *reason == close_reason(&WsError::Protocol(ProtocolError::SendAfterClosing))
}

/// How a connection ended with this error.
pub(crate) fn close_reason(error: &WsError) -> CloseReason {
    if let WsError::Io(error) = error
        && let Some(fault) = PeerFault::of(error)
    {
        let code = match fault {
            PeerFault::TakesTooLittle => CloseCode::SlowConsumer,
            PeerFault::EndlessMessage => CloseCode::RateLimited,
        };
        return CloseReason::new(code, &fault.to_string(), Side::Us);
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
