//! What a link does with what is sent, without a carrier.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;

use crate::any_sender::AnySender;
use crate::close::{CloseCode, CloseReason, Side};
use crate::connection::SendError;
use crate::datagram_sender::DatagramSender;
use crate::events::{DropReason, LinkStats};
use crate::frame::Mode;
use crate::limits::{
    DATAGRAM_SIZE_MAX, LATEST_AGE_MAX, LATEST_AGE_MAX_QUIC, OUTGOING_BYTES_MAX, RELIABLE_BYTES_MAX,
    SLOW_CONSUMER_AFTER, UNSENT_BYTES_MAX,
};
use crate::link::{Link, LinkConfig, LinkEnd};
use crate::queue::{DatagramQueue, Pushed, QueueBounds};

/// A link, and the queue that its datagrams wait in.
fn link() -> (Arc<Link>, Arc<DatagramQueue>) {
    with(config())
}

fn with(config: LinkConfig) -> (Arc<Link>, Arc<DatagramQueue>) {
    let queue = DatagramQueue::new(QueueBounds::OUTGOING, LATEST_AGE_MAX_QUIC);
    let queue = Arc::new(queue.counted_in(config.events.unsent.clone()));
    let link = Link::new(config, AnySender::Queue(Arc::clone(&queue)));
    (link, queue)
}

fn config() -> LinkConfig {
    LinkConfig {
        mode: Mode::Thin,
        end: LinkEnd::Server,
        peer: (Ipv4Addr::LOCALHOST, 1).into(),
        datagram_size_max: 1000,
        slow_consumer_after: SLOW_CONSUMER_AFTER,
        unsent_max: UNSENT_BYTES_MAX,
        events: Arc::default(),
    }
}

/// A sender without a carrier.
impl DatagramSender for Arc<DatagramQueue> {
    fn kind(&self) -> TransportKind {
        TransportKind::Quic
    }

    fn has_one_order(&self) -> bool {
        false
    }

    fn send(&self, datagram: Bytes) -> Pushed {
        self.push(datagram)
    }

    fn send_latest(&self, datagram: Bytes) -> Pushed {
        self.push_latest(datagram)
    }

    fn unsent_bytes(&self) -> usize {
        self.bytes()
    }

    fn discard_unsent(&self) {
        self.clear();
    }

    fn round_trip(&self) -> Option<Duration> {
        None
    }

    fn sent(&self) -> LinkStats {
        LinkStats::default()
    }
}

fn overflow(link: &Link) {
    for _ in 0..=OUTGOING_BYTES_MAX / 1000 {
        link.send(Bytes::from(vec![0; 1000])).unwrap();
    }
}

#[test]
fn a_full_outgoing_queue_drops_its_oldest_payload_and_counts_it() {
    let (link, queue) = link();
    link.send(Bytes::from_static(b"oldest")).unwrap();
    link.send(Bytes::from_static(b"older")).unwrap();
    for _ in 0..OUTGOING_BYTES_MAX / 1000 {
        link.send(Bytes::from(vec![0; 1000])).unwrap();
    }
    assert_eq!(link.stats().dropped_out, 0);
    link.send(Bytes::from(vec![0; 1000])).unwrap();
    assert_eq!(
        link.stats().dropped_out,
        link.config().events.drops(DropReason::OutgoingFull)
    );
    assert_eq!(queue.pop().unwrap().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_for_five_seconds_is_a_slow_consumer() {
    let (link, _) = link();
    overflow(&link);
    let almost = SLOW_CONSUMER_AFTER.saturating_sub(Duration::from_millis(1));
    tokio::time::advance(almost).await;
    overflow(&link);
    assert_eq!(link.closed(), None);
    tokio::time::advance(Duration::from_millis(1)).await;
    link.send(Bytes::from(vec![0; 1000])).unwrap();
    assert_eq!(link.closed().unwrap().code, CloseCode::SlowConsumer);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_everything_now_and_then_may_stay() {
    let (link, queue) = link();
    overflow(&link);
    tokio::time::advance(SLOW_CONSUMER_AFTER).await;
    while queue.pop().is_some() {}
    overflow(&link);
    assert_eq!(link.closed(), None);
}

#[test]
fn the_first_end_counts() {
    let (link, _) = link();
    link.close(CloseCode::Kicked, "first");
    link.close(CloseCode::Banned, "second");
    assert_eq!(
        link.closed(),
        Some(CloseReason::new(CloseCode::Kicked, "first", Side::Us))
    );
    assert_eq!(link.send(Bytes::new()), Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn replaced_snapshots_count_as_such_and_make_nobody_slow() {
    let (link, queue) = link();
    for _ in 0..10 {
        link.send_latest(Bytes::from_static(b"snapshot")).unwrap();
        tokio::time::advance(SLOW_CONSUMER_AFTER / 2).await;
        assert!(queue.pop().is_some());
        link.send_latest(Bytes::from_static(b"older")).unwrap();
        tokio::time::advance(LATEST_AGE_MAX).await;
        link.send_latest(Bytes::from_static(b"newer")).unwrap();
        assert_eq!(queue.pop().unwrap().as_ref(), b"newer");
    }
    assert_eq!(link.closed(), None);
    let stats = link.stats();
    assert_eq!((stats.replaced_out, stats.dropped_out), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_snapshot_for_five_seconds_is_a_slow_consumer() {
    let (link, _) = link();
    link.send_latest(Bytes::from_static(b"first")).unwrap();
    tokio::time::advance(LATEST_AGE_MAX).await;
    link.send_latest(Bytes::from_static(b"second")).unwrap();
    tokio::time::advance(SLOW_CONSUMER_AFTER).await;
    link.send_latest(Bytes::from_static(b"third")).unwrap();
    assert_eq!(link.closed().unwrap().code, CloseCode::SlowConsumer);
}

#[test]
fn a_reliable_frame_over_the_bounds_closes_at_once() {
    let (link, _) = link();
    for _ in 0..RELIABLE_BYTES_MAX / 1024 {
        link.send_reliable(Bytes::from(vec![0; 1024])).unwrap();
    }
    assert_eq!(link.reliable_backlog(), RELIABLE_BYTES_MAX);
    assert_eq!(link.closed(), None);
    let one_more = link.send_reliable(Bytes::from_static(b"x"));
    assert_eq!(one_more, Err(SendError::Closed));
    assert_eq!(link.closed().unwrap().code, CloseCode::SlowConsumer);
}

#[test]
fn native_mode_has_no_reliable_channel() {
    let mut config = config();
    config.mode = Mode::Native;
    let sent = with(config).0.send_reliable(Bytes::new());
    assert_eq!(sent, Err(SendError::NoReliableChannel));
}

#[tokio::test]
async fn a_payload_over_the_limit_is_not_taken_in() {
    let (link, _) = link();
    link.deliver(Bytes::from(vec![0; DATAGRAM_SIZE_MAX + 1]))
        .await;
    assert_eq!((link.try_receive(), link.stats().dropped_in), (None, 1));
    let error = SendError::TooLarge {
        size: 1001,
        size_max: 1000,
    };
    assert_eq!(link.send(Bytes::from(vec![0; 1001])), Err(error));
}
