//! The sending half of QUIC and WebTransport: a queue that a pump empties, or a task where there is
//! none. It knows no link.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use crate::datagram_sender::DatagramSender;
use crate::events::{Events, LinkStats};
use crate::limits::LATEST_AGE_MAX_QUIC;
use crate::queue::{DatagramQueue, Pushed, QueueBounds};
use crate::quic::datagram_pump::DatagramPump;
use crate::quic::session::QuicSession;

/// Datagrams that wait until QUIC has room for them.
#[derive(Debug)]
pub(crate) struct QuicSender {
    kind: TransportKind,
    pub(crate) queue: DatagramQueue,
    pub(crate) connection: quinn::Connection,
    /// What empties the queue; where there is none, a task does.
    pub(crate) pump: Option<Arc<DatagramPump>>,
}

impl QuicSender {
    pub(crate) fn new(session: &QuicSession, events: &Events) -> Self {
        Self {
            kind: session.kind(),
            queue: DatagramQueue::new(QueueBounds::OUTGOING, LATEST_AGE_MAX_QUIC)
                .counted_in(events.unsent.clone()),
            connection: session.connection().clone(),
            pump: session.pump(),
        }
    }

    fn wake_pump(&self, pushed: Pushed) -> Pushed {
        if let Some(pump) = &self.pump {
            pump.wake_driver();
        }
        pushed
    }
}

impl DatagramSender for Arc<QuicSender> {
    fn kind(&self) -> TransportKind {
        self.kind
    }

    fn has_one_order(&self) -> bool {
        false
    }

    fn send(&self, datagram: Bytes) -> Pushed {
        self.wake_pump(self.queue.push(datagram))
    }

    fn send_latest(&self, datagram: Bytes) -> Pushed {
        self.wake_pump(self.queue.push_latest(datagram))
    }

    fn unsent_bytes(&self) -> usize {
        self.queue.bytes()
    }

    fn discard_unsent(&self) {
        self.queue.clear();
    }

    fn round_trip(&self) -> Option<Duration> {
        Some(self.connection.rtt())
    }

    /// The link counts all.
    fn sent(&self) -> LinkStats {
        LinkStats::default()
    }
}
