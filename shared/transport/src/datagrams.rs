//! Where a link's datagrams wait: in queues that a pump or an attendant serves, or in a mailbox.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use crate::attendant::Attendant;
use crate::limits::{
    INCOMING_BYTES_MAX, INCOMING_DATAGRAMS_MAX, LATEST_AGE_MAX, LATEST_AGE_MAX_QUIC,
    OUTGOING_BYTES_MAX, OUTGOING_DATAGRAMS_MAX,
};
use crate::link::LinkConfig;
use crate::mailbox::Mailbox;
use crate::queue::{DatagramQueue, Pushed, QueueBounds};

const OUTGOING: QueueBounds = QueueBounds {
    datagrams_max: OUTGOING_DATAGRAMS_MAX,
    bytes_max: OUTGOING_BYTES_MAX,
};
pub(crate) const INCOMING: QueueBounds = QueueBounds {
    datagrams_max: INCOMING_DATAGRAMS_MAX,
    bytes_max: INCOMING_BYTES_MAX,
};

/// What lies between the handles and the carrier's datagrams.
#[derive(Debug)]
pub(crate) enum Datagrams {
    /// A queue for each direction.
    Queued(Queued),
    /// A queue that a pump fills, and a mailbox.
    Posted(Posted),
}

#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) incoming: DatagramQueue,
    pub(crate) outgoing: DatagramQueue,
    /// Who serves them; where there is none, a pump does.
    pub(crate) attendant: Option<Arc<Attendant>>,
}

#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) incoming: DatagramQueue,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Datagrams {
    /// What suits the carrier.
    pub(crate) fn of(config: &LinkConfig) -> Self {
        // Peers send nothing of which only the newest matters, as far as a queue can know.
        let incoming = DatagramQueue::new(INCOMING, LATEST_AGE_MAX);
        let Some((socket, office)) = &config.socket else {
            return Self::Queued(Queued {
                incoming,
                outgoing: DatagramQueue::new(OUTGOING, latest_age_max(config.kind))
                    .counted_in(config.events.unsent.clone()),
                attendant: config.attendant.clone(),
            });
        };
        let (office, events) = (Arc::clone(office), Arc::clone(&config.events));
        Self::Posted(Posted {
            incoming,
            mailbox: Mailbox::new(socket.clone(), office, events),
        })
    }

    /// What was received.
    pub(crate) fn incoming(&self) -> &DatagramQueue {
        match self {
            Self::Queued(queued) => &queued.incoming,
            Self::Posted(posted) => &posted.incoming,
        }
    }

    /// Bytes that wait to be sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        match self {
            Self::Queued(queued) => queued.outgoing.bytes(),
            Self::Posted(posted) => posted.mailbox.unsent_bytes(),
        }
    }

    /// Forgets what waits to be sent.
    pub(crate) fn clear_outgoing(&self) {
        match self {
            Self::Queued(queued) => queued.outgoing.clear(),
            Self::Posted(posted) => posted.mailbox.clear(),
        }
    }

    /// Sends one.
    pub(crate) fn push(&self, payload: Bytes) -> Pushed {
        match self {
            Self::Queued(queued) => queued.called_for(queued.outgoing.push(payload)),
            Self::Posted(posted) => posted.mailbox.push(payload),
        }
    }

    /// Sends one of which only the newest matters.
    pub(crate) fn push_latest(&self, payload: Bytes) -> Pushed {
        match self {
            Self::Queued(queued) => queued.called_for(queued.outgoing.push_latest(payload)),
            Self::Posted(posted) => posted.mailbox.push_latest(payload),
        }
    }
}

/// How old one may become of which only the newest matters.
fn latest_age_max(kind: TransportKind) -> Duration {
    match kind {
        TransportKind::Quic | TransportKind::WebTransport => LATEST_AGE_MAX_QUIC,
        TransportKind::WebSocket => LATEST_AGE_MAX,
    }
}

impl Queued {
    fn called_for(&self, pushed: Pushed) -> Pushed {
        if let Some(attendant) = &self.attendant {
            attendant.call();
        }
        pushed
    }
}
