//! What a received message is: a frame, an answer to a ping, or the end. It knows no link.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::close::{CloseCode, CloseReason, Side};
use crate::websocket::close::{close_reason, peer_close};
use crate::websocket::encoding::{Encoding, NoFrame};
use crate::websocket::message_socket::MessageSocket;

/// A message, understood.
pub(crate) enum ReceivedMessage {
    Frame(Bytes),
    Pong(Bytes),
    Nothing,
    /// A frame with a text that is none.
    BadText,
    End(CloseReason),
}

impl ReceivedMessage {
    pub(crate) fn of(message: Result<Message, WsError>, encoding: Encoding) -> Self {
        match message {
            Ok(Message::Pong(stamp)) => Self::Pong(stamp),
            // tungstenite answers pings by itself.
            Ok(Message::Ping(_)) => Self::Nothing,
            Ok(Message::Close(frame)) => Self::End(peer_close(frame)),
            Ok(message) => match encoding.frame(message) {
                Ok(frame) => Self::Frame(frame),
                Err(NoFrame::BadText) => Self::BadText,
                Err(NoFrame::End(reason)) => Self::End(reason),
            },
            Err(error) => Self::End(close_reason(&error)),
        }
    }
}

/// The frame in the next message; anything else is the reason for the end.
pub(crate) async fn next_frame(
    socket: &MessageSocket,
    encoding: Encoding,
) -> Result<Bytes, CloseReason> {
    loop {
        match ReceivedMessage::of(socket.next().await, encoding) {
            ReceivedMessage::Frame(frame) => return Ok(frame),
            ReceivedMessage::Pong(_) | ReceivedMessage::Nothing => {}
            ReceivedMessage::BadText => {
                let text = "a text in it is none";
                return Err(CloseReason::new(CloseCode::ProtocolError, text, Side::Us));
            }
            ReceivedMessage::End(reason) => return Err(reason),
        }
    }
}
