//! Where a link's datagrams wait: in QUIC's own queues, or in queues that a pump serves.

use gameserver_contract::session::TransportKind;

use crate::direct::Direct;
use crate::limits::{
    INCOMING_BYTES_MAX, INCOMING_DATAGRAMS_MAX, OUTGOING_BYTES_MAX, OUTGOING_DATAGRAMS_MAX,
};
use crate::link::{LinkConfig, RoundTrip};
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
}

#[derive(Debug)]
pub(crate) struct Pumped {
    pub(crate) incoming: DatagramQueue,
    pub(crate) outgoing: DatagramQueue,
}

impl Datagrams {
    /// What suits the carrier.
    pub(crate) fn of(config: &LinkConfig) -> Self {
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
}
