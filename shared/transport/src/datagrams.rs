//! Where a link's datagrams wait: in QUIC's own queues, in queues that a pump serves, or in a
//! mailbox.

use std::sync::Arc;

use gameserver_contract::session::TransportKind;

use crate::direct::Direct;
use crate::events::Traffic;
use crate::limits::{
    INCOMING_BYTES_MAX, INCOMING_DATAGRAMS_MAX, OUTGOING_BYTES_MAX, OUTGOING_DATAGRAMS_MAX,
};
use crate::link::{LinkConfig, RoundTrip};
use crate::mailbox::Mailbox;
use crate::queue::{DatagramQueue, QueueBounds};

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
    /// Nothing.
    Direct(Direct),
    /// Queues, which a pump fills and empties.
    Pumped(Pumped),
    /// A queue that a pump fills, and a mailbox.
    Posted(Posted),
}

#[derive(Debug)]
pub(crate) struct Pumped {
    pub(crate) incoming: DatagramQueue,
    pub(crate) outgoing: DatagramQueue,
}

#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) incoming: DatagramQueue,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Datagrams {
    /// What suits the carrier.
    pub(crate) fn of(config: &LinkConfig, traffic: &Arc<Traffic>) -> Self {
        if let Some((socket, office)) = &config.socket {
            let (office, traffic) = (Arc::clone(office), Arc::clone(traffic));
            return Self::Posted(Posted {
                incoming: DatagramQueue::new(INCOMING),
                mailbox: Mailbox::new(socket.clone(), office, traffic, Arc::clone(&config.events)),
            });
        }
        match (&config.round_trip, config.kind) {
            (RoundTrip::Quic(connection), TransportKind::Quic) => {
                Self::Direct(Direct::new(connection.clone()))
            }
            (RoundTrip::Quic(_) | RoundTrip::Measured(_), _) => Self::Pumped(Pumped {
                incoming: DatagramQueue::new(INCOMING),
                outgoing: DatagramQueue::new(OUTGOING),
            }),
        }
    }

    /// Where a pump puts what it received, or QUIC's own queue.
    pub(crate) fn waiting(&self) -> Result<&DatagramQueue, &Direct> {
        match self {
            Self::Direct(direct) => Err(direct),
            Self::Pumped(pumped) => Ok(&pumped.incoming),
            Self::Posted(posted) => Ok(&posted.incoming),
        }
    }
}
