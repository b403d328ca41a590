//! The sending half of whichever carrier a link has. An enum and no trait object, because each
//! datagram passes through it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use crate::datagram_sender::DatagramSender;
use crate::events::LinkStats;
use crate::queue::Pushed;
use crate::quic::sender::QuicSender;
use crate::websocket::send_queue::SendQueue;

#[derive(Debug)]
pub(crate) enum AnySender {
    /// QUIC and WebTransport.
    Quic(Arc<QuicSender>),
    WebSocket(Arc<SendQueue>),
    /// No carrier at all.
    #[cfg(test)]
    Queue(Arc<crate::queue::DatagramQueue>),
}

/// Calls a method of the sender there is.
macro_rules! delegate {
    ($any:ident.$method:ident($($argument:ident),*)) => {
        match $any {
            Self::Quic(sender) => sender.$method($($argument),*),
            Self::WebSocket(sender) => sender.$method($($argument),*),
            #[cfg(test)]
            Self::Queue(sender) => sender.$method($($argument),*),
        }
    };
}

impl DatagramSender for AnySender {
    fn kind(&self) -> TransportKind {
        delegate!(self.kind())
    }

    fn has_one_order(&self) -> bool {
        delegate!(self.has_one_order())
    }

    fn send(&self, datagram: Bytes) -> Pushed {
        delegate!(self.send(datagram))
    }

    fn send_latest(&self, datagram: Bytes) -> Pushed {
        delegate!(self.send_latest(datagram))
    }

    fn unsent_bytes(&self) -> usize {
        delegate!(self.unsent_bytes())
    }

    fn discard_unsent(&self) {
        delegate!(self.discard_unsent());
    }

    fn round_trip(&self) -> Option<Duration> {
        delegate!(self.round_trip())
    }

    fn sent(&self) -> LinkStats {
        delegate!(self.sent())
    }
}
