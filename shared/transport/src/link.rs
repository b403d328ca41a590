//! What a connection's handles and its pump task share: the two queues, the counters and the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use tokio::sync::watch;

use crate::close::{CloseCode, CloseReason, Side};
use crate::connection::SendError;
use crate::events::{DropReason, Events, LinkStats, Traffic};
use crate::limits::{
    DATAGRAM_SIZE_MAX, INCOMING_BYTES_MAX, INCOMING_DATAGRAMS_MAX, OUTGOING_BYTES_MAX,
    OUTGOING_DATAGRAMS_MAX,
};
use crate::queue::{DatagramQueue, Pushed, QueueBounds};

const OUTGOING: QueueBounds = QueueBounds {
    datagrams_max: OUTGOING_DATAGRAMS_MAX,
    bytes_max: OUTGOING_BYTES_MAX,
};
const INCOMING: QueueBounds = QueueBounds {
    datagrams_max: INCOMING_DATAGRAMS_MAX,
    bytes_max: INCOMING_BYTES_MAX,
};

/// Where a link's round trip time comes from.
#[derive(Debug)]
pub(crate) enum RoundTrip {
    /// QUIC's own estimate.
    Quic(quinn::Connection),
    /// The last answered ping in microseconds; 0 before the first.
    Measured(AtomicU64),
}

/// What distinguishes one link from another.
#[derive(Debug)]
pub(crate) struct LinkConfig {
    pub(crate) kind: TransportKind,
    pub(crate) peer: SocketAddr,
    pub(crate) datagram_size_max: usize,
    pub(crate) round_trip: RoundTrip,
    pub(crate) slow_consumer_after: Duration,
    pub(crate) events: Arc<Events>,
}

#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    incoming: DatagramQueue,
    outgoing: DatagramQueue,
    closed: watch::Sender<Option<CloseReason>>,
    traffic: Traffic,
}

impl Link {
    pub(crate) fn new(config: LinkConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            incoming: DatagramQueue::new(INCOMING),
            outgoing: DatagramQueue::new(OUTGOING),
            closed: watch::Sender::new(None),
            traffic: Traffic::default(),
        })
    }

    pub(crate) fn config(&self) -> &LinkConfig {
        &self.config
    }

    pub(crate) fn stats(&self) -> LinkStats {
        self.traffic.stats()
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        match &self.config.round_trip {
            RoundTrip::Quic(connection) => Some(connection.rtt()),
            RoundTrip::Measured(rtt_us) => match rtt_us.load(Relaxed) {
                0 => None,
                rtt_us => Some(Duration::from_micros(rtt_us)),
            },
        }
    }

    pub(crate) fn note_round_trip(&self, measured: Duration) {
        if let RoundTrip::Measured(rtt_us) = &self.config.round_trip {
            let measured_us = u64::try_from(measured.as_micros()).unwrap_or(u64::MAX);
            rtt_us.store(measured_us.max(1), Relaxed);
        }
    }

    // --- the handles' side

    pub(crate) fn send(&self, payload: Bytes) -> Result<(), SendError> {
        let size_max = self.config.datagram_size_max;
        if payload.len() > size_max {
            return Err(SendError::TooLarge {
                size: payload.len(),
                size_max,
            });
        }
        if self.closed.borrow().is_some() {
            return Err(SendError::Closed);
        }
        if let Pushed::Overflowed { dropped, since } = self.outgoing.push(payload) {
            self.count_drops(DropReason::OutgoingFull, dropped);
            if since.elapsed() >= self.config.slow_consumer_after {
                self.close(
                    CloseCode::SlowConsumer,
                    "what was sent was not taken for too long",
                );
            }
        }
        Ok(())
    }

    pub(crate) fn try_receive(&self) -> Option<Bytes> {
        self.incoming.pop()
    }

    pub(crate) async fn receive(&self) -> Option<Bytes> {
        tokio::select! {
            biased;
            payload = self.incoming.next() => Some(payload),
            _ = self.wait_closed() => self.incoming.pop(),
        }
    }

    pub(crate) fn close(&self, code: CloseCode, text: &str) {
        self.finish(CloseReason::new(code, text, Side::Us));
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.closed.borrow().clone()
    }

    pub(crate) async fn wait_closed(&self) -> CloseReason {
        let mut closed = self.closed.subscribe();
        match closed
            .wait_for(Option::is_some)
            .await
            .map(|reason| reason.clone())
        {
            Ok(Some(reason)) => reason,
            // The sender lives as long as this link does.
            Ok(None) | Err(_) => CloseReason::new(CloseCode::Internal, "", Side::Us),
        }
    }

    // --- the pump's side

    /// Notes the end. The first reason counts, and is returned.
    pub(crate) fn finish(&self, reason: CloseReason) -> CloseReason {
        let first = reason.clone();
        self.closed.send_if_modified(|closed| {
            let open = closed.is_none();
            if open {
                *closed = Some(first);
            }
            open
        });
        self.closed().unwrap_or(reason)
    }

    /// Hands a received payload to the handles.
    pub(crate) fn deliver(&self, payload: Bytes) {
        self.traffic.received(payload.len());
        self.config.events.traffic.received(payload.len());
        if payload.len() > DATAGRAM_SIZE_MAX {
            self.count_drops(DropReason::IncomingTooLarge, 1);
        } else if let Pushed::Overflowed { dropped, .. } = self.incoming.push(payload) {
            self.count_drops(DropReason::IncomingFull, dropped);
        }
    }

    /// Waits for the next payload to send.
    pub(crate) async fn next_outgoing(&self) -> Bytes {
        self.outgoing.next().await
    }

    /// The next payload to send, if one is there.
    pub(crate) fn try_outgoing(&self) -> Option<Bytes> {
        self.outgoing.pop()
    }

    pub(crate) fn note_sent(&self, bytes: usize) {
        self.traffic.sent(bytes);
        self.config.events.traffic.sent(bytes);
    }

    pub(crate) fn count_drops(&self, reason: DropReason, datagrams: u64) {
        self.traffic.dropped(reason, datagrams);
        self.config.events.traffic.dropped(reason, datagrams);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::limits::SLOW_CONSUMER_AFTER;

    fn link() -> Arc<Link> {
        Link::new(LinkConfig {
            kind: TransportKind::WebSocket,
            peer: (Ipv4Addr::LOCALHOST, 1).into(),
            datagram_size_max: 1000,
            round_trip: RoundTrip::Measured(AtomicU64::new(0)),
            slow_consumer_after: SLOW_CONSUMER_AFTER,
            events: Arc::default(),
        })
    }

    fn overflow(link: &Link) {
        for _ in 0..=OUTGOING_BYTES_MAX / 1000 {
            link.send(Bytes::from(vec![0; 1000])).unwrap();
        }
    }

    #[test]
    fn a_full_outgoing_queue_drops_its_oldest_payload_and_counts_it() {
        let link = link();
        link.send(Bytes::from_static(b"oldest")).unwrap();
        link.send(Bytes::from_static(b"older")).unwrap();
        for _ in 0..OUTGOING_BYTES_MAX / 1000 {
            link.send(Bytes::from(vec![0; 1000])).unwrap();
        }
        assert_eq!(link.stats().dropped_out, 0);
        link.send(Bytes::from(vec![0; 1000])).unwrap();
        assert_eq!(
            link.stats().dropped_out,
            link.config.events.drops(DropReason::OutgoingFull)
        );
        assert_eq!(link.try_outgoing().unwrap().len(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_for_five_seconds_is_a_slow_consumer() {
        let link = link();
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
        let link = link();
        overflow(&link);
        tokio::time::advance(SLOW_CONSUMER_AFTER).await;
        while link.try_outgoing().is_some() {}
        overflow(&link);
        assert_eq!(link.closed(), None);
    }

    #[test]
    fn the_first_end_counts() {
        let link = link();
        link.close(CloseCode::Kicked, "first");
        link.close(CloseCode::Banned, "second");
        assert_eq!(
            link.closed(),
            Some(CloseReason::new(CloseCode::Kicked, "first", Side::Us))
        );
        assert_eq!(link.send(Bytes::new()), Err(SendError::Closed));
    }

    #[test]
    fn a_payload_over_the_limit_is_not_taken_in() {
        let link = link();
        link.deliver(Bytes::from(vec![0; DATAGRAM_SIZE_MAX + 1]));
        assert_eq!((link.try_receive(), link.stats().dropped_in), (None, 1));
        let error = SendError::TooLarge {
            size: 1001,
            size_max: 1000,
        };
        assert_eq!(link.send(Bytes::from(vec![0; 1001])), Err(error));
    }
}
