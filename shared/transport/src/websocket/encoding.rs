//! What WebSocket messages are made of: binary ones of MessagePack, or text ones of JSON.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;

use crate::close::{CloseCode, CloseReason, Side};
use crate::limits::{WEBSOCKET_SUBPROTOCOL, WEBSOCKET_SUBPROTOCOL_JSON};
use crate::websocket::json::{self, TranscodeError};

/// What messages are made of. Clients of this crate speak `MessagePack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    #[default]
    MessagePack,
    Json,
}

/// Why there is no frame in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// A text in it is none, which people's keyboards and careless programs make. All else is
    /// right, so it costs no more than the message.
    BadText,
    /// It is a message of the other kind, or no frame: the reason for the end.
    End(CloseReason),
}

impl Encoding {
    pub(crate) fn of(subprotocol: &str) -> Option<Self> {
        match subprotocol {
            WEBSOCKET_SUBPROTOCOL => Some(Self::MessagePack),
            WEBSOCKET_SUBPROTOCOL_JSON => Some(Self::Json),
            _ => None,
        }
    }

    pub(crate) fn subprotocol(self) -> &'static str {
        match self {
            Self::MessagePack => WEBSOCKET_SUBPROTOCOL,
            Self::Json => WEBSOCKET_SUBPROTOCOL_JSON,
        }
    }

    pub(crate) fn message(self, frame: Bytes) -> Result<Message, CloseReason> {
        match self {
            Self::MessagePack => Ok(Message::Binary(frame)),
            Self::Json => match json::from_message_pack(&frame) {
                Ok(text) => Ok(Message::text(text)),
                Err(error) => {
                    let text = format!("a frame cannot be written as JSON: {error}");
                    Err(CloseReason::new(CloseCode::Internal, &text, Side::Us))
                }
            },
        }
    }

    /// The frame in a message.
    pub(crate) fn frame(self, message: Message) -> Result<Bytes, NoFrame> {
        let wrong = |text: &str| {
            let reason = CloseReason::new(CloseCode::ProtocolError, text, Side::Us);
            Err(NoFrame::End(reason))
        };
        match (self, message) {
            (Self::MessagePack, Message::Binary(frame)) => Ok(frame),
            (Self::MessagePack, _) => wrong("only binary messages are understood"),
            (Self::Json, Message::Text(text)) => match json::to_message_pack(&text) {
                Ok(frame) => Ok(frame.into()),
                Err(TranscodeError::HalfCharacter) => Err(NoFrame::BadText),
                Err(error) => wrong(&error.to_string()),
            },
            (Self::Json, _) => wrong("only text messages are understood"),
        }
    }
}
