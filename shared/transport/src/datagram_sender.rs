//! What a link needs of its carrier: a queue that datagrams leave by, and facts about the path. The
//! carrier's task delivers what is received and fetches reliable frames by itself. It knows no
//! carrier.

use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use crate::events::LinkStats;
use crate::queue::Pushed;

/// The sending half of a carrier. No method waits, and none allocates for a datagram.
pub(crate) trait DatagramSender {
    /// Which carrier it is.
    fn kind(&self) -> TransportKind;

    /// Whether datagrams and reliable frames arrive in one order, so that none may be dropped.
    fn has_one_order(&self) -> bool;

    /// Queues a datagram.
    fn send(&self, datagram: Bytes) -> Pushed;

    /// Queues a datagram that replaces older ones of its kind.
    fn send_latest(&self, datagram: Bytes) -> Pushed;

    /// Bytes that wait to be sent.
    fn unsent_bytes(&self) -> usize;

    /// Drops what waits to be sent.
    fn discard_unsent(&self);

    /// The last known round trip time.
    fn round_trip(&self) -> Option<Duration>;

    /// What was sent without the link, which counts everything else.
    fn sent(&self) -> LinkStats;
}
