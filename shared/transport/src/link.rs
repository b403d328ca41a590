//! What a connection's handles and its task share: the queues, the counters and the end. It knows
//! its carrier only by what it needs of one:
//! [`DatagramSender`](crate::datagram_sender::DatagramSender).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use tokio::sync::watch;

use crate::any_sender::AnySender;
use crate::close::{CloseCode, CloseReason, Side};
use crate::datagram_sender::DatagramSender as _;
use crate::error::SendError;
use crate::events::{DropReason, Events, Incident, LinkStats, Traffic};
use crate::frame::Mode;
use crate::limits::{
    CLIENT_FRAME_BYTES_MAX, CLOSE_DEADLINE, DATAGRAM_SIZE_MAX, LATEST_AGE_MAX,
    RELIABLE_BATCH_FRAMES, RELIABLE_FRAME_BYTES_MAX, UNSENT_SHARE, WRITE_BYTES_MIN,
};
use crate::queue::{DatagramQueue, Pushed, QueueBounds};
use crate::rate_limit::RateLimit;
use crate::reliable::{Rejected, ReliableQueue};

/// Which end of a link a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    Server,
    Client,
}

/// What distinguishes one link from another, its carrier apart.
#[derive(Debug)]
pub(crate) struct LinkConfig {
    pub(crate) mode: Mode,
    pub(crate) end: LinkEnd,
    pub(crate) peer: SocketAddr,
    pub(crate) datagram_size_max: usize,
    pub(crate) slow_consumer_after: Duration,
    /// Bytes that may wait on all connections of these events before each has its share only.
    pub(crate) unsent_max: usize,
    pub(crate) events: Arc<Events>,
}

impl LinkConfig {
    /// Largest reliable frame in bytes that this end sends.
    fn reliable_out_max(&self) -> usize {
        match self.end {
            LinkEnd::Server => RELIABLE_FRAME_BYTES_MAX,
            LinkEnd::Client => CLIENT_FRAME_BYTES_MAX,
        }
    }

    /// Largest reliable frame in bytes that this end takes.
    pub(crate) fn reliable_in_max(&self) -> usize {
        match self.end {
            LinkEnd::Server => CLIENT_FRAME_BYTES_MAX,
            LinkEnd::Client => RELIABLE_FRAME_BYTES_MAX,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    sender: AnySender,
    /// Everything that is received is reliable and in one order.
    has_one_order: bool,
    datagrams_in: DatagramQueue,
    reliable_in: ReliableQueue,
    reliable_out: ReliableQueue,
    closed: watch::Sender<Option<CloseReason>>,
    /// The same in short, for those who ask all the time.
    is_closed: AtomicBool,
    /// Without what the sender counts itself.
    traffic: Traffic,
    rate_limit: RateLimit,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, sender: AnySender) -> Arc<Self> {
        let unsent = config.events.unsent.clone();
        Arc::new(Self {
            has_one_order: config.mode == Mode::Thin && sender.has_one_order(),
            sender,
            config,
            // Peers send nothing of which only the newest matters, as far as a queue can know.
            datagrams_in: DatagramQueue::new(QueueBounds::INCOMING, LATEST_AGE_MAX),
            reliable_in: ReliableQueue::new(QueueBounds::INCOMING),
            reliable_out: ReliableQueue::new(QueueBounds::RELIABLE).counted_in(unsent),
            rate_limit: RateLimit::new(),
            closed: watch::Sender::new(None),
            is_closed: AtomicBool::new(false),
            traffic: Traffic::default(),
        })
    }

    pub(crate) fn config(&self) -> &LinkConfig {
        &self.config
    }

    #[cfg(test)]
    pub(crate) fn sender(&self) -> &AnySender {
        &self.sender
    }

    pub(crate) fn kind(&self) -> TransportKind {
        self.sender.kind()
    }

    pub(crate) fn stats(&self) -> LinkStats {
        let (stats, sent) = (self.traffic.stats(), self.sender.sent());
        LinkStats {
            datagrams_out: stats.datagrams_out + sent.datagrams_out,
            bytes_out: stats.bytes_out + sent.bytes_out,
            ..stats
        }
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip()
    }

    // --- the handles' side

    pub(crate) fn send(&self, payload: Bytes) -> Result<(), SendError> {
        self.check(&payload, self.config.datagram_size_max)?;
        self.count_pushed(self.sender.send(payload));
        self.enforce_unsent_share();
        Ok(())
    }

    pub(crate) fn send_latest(&self, payload: Bytes) -> Result<(), SendError> {
        self.check(&payload, self.config.datagram_size_max)?;
        self.count_pushed(self.sender.send_latest(payload));
        self.enforce_unsent_share();
        Ok(())
    }

    fn check(&self, payload: &Bytes, size_max: usize) -> Result<(), SendError> {
        if payload.len() > size_max {
            return Err(SendError::TooLarge {
                size: payload.len(),
                size_max,
            });
        }
        if self.is_closed.load(Acquire) {
            return Err(SendError::Closed);
        }
        Ok(())
    }

    /// Counts what was dropped or replaced, and closes a peer that takes nothing for too long.
    fn count_pushed(&self, pushed: Pushed) {
        let since = match pushed {
            Pushed::Kept => return,
            Pushed::Overflowed { dropped, since } => {
                self.count_drops(DropReason::OutgoingFull, dropped);
                since
            }
            Pushed::Replaced { replaced, since } => {
                self.traffic.replaced(replaced);
                self.config.events.traffic.replaced(replaced);
                since
            }
        };
        if since.elapsed() >= self.config.slow_consumer_after {
            let text = "what was sent was not taken for too long";
            self.close(CloseCode::SlowConsumer, text);
        }
    }

    pub(crate) fn send_reliable(&self, frame: Bytes) -> Result<(), SendError> {
        if self.config.mode != Mode::Thin {
            return Err(SendError::NoReliableChannel);
        }
        self.check(&frame, self.config.reliable_out_max())?;
        match self.reliable_out.push(frame) {
            Ok(()) => {
                self.enforce_unsent_share();
                Ok(())
            }
            Err(Rejected::Ended) => Err(SendError::Closed),
            Err(Rejected::Full) => {
                let text = "reliable frames were not taken in time";
                self.close(CloseCode::SlowConsumer, text);
                Err(SendError::Closed)
            }
        }
    }

    /// When too much waits on all connections together, those go on which have their share of it.
    fn enforce_unsent_share(&self) {
        if self.config.events.unsent.bytes() <= self.config.unsent_max {
            return;
        }
        let unsent = self.sender.unsent_bytes() + self.reliable_out.bytes();
        if unsent > UNSENT_SHARE {
            self.config.events.count(Incident::UnsentFull);
            let text = "too much waits to be taken, here and by others";
            self.close(CloseCode::SlowConsumer, text);
        }
    }

    pub(crate) fn reliable_backlog(&self) -> usize {
        self.reliable_out.bytes()
    }

    pub(crate) fn try_receive(&self) -> Option<Bytes> {
        if self.has_one_order {
            return self.reliable_in.pop();
        }
        self.datagrams_in.pop()
    }

    pub(crate) async fn receive(&self) -> Option<Bytes> {
        tokio::select! {
            biased;
            payload = self.next_incoming() => Some(payload),
            _ = self.wait_closed() => self.try_receive(),
        }
    }

    async fn next_incoming(&self) -> Bytes {
        if self.has_one_order {
            return self.reliable_in.next().await;
        }
        self.datagrams_in.next().await
    }

    pub(crate) fn try_receive_reliable(&self) -> Option<Bytes> {
        let is_apart = !self.has_one_order;
        is_apart.then(|| self.reliable_in.pop()).flatten()
    }

    pub(crate) async fn receive_reliable(&self) -> Option<Bytes> {
        if self.has_one_order {
            self.wait_closed().await;
            return None;
        }
        tokio::select! {
            biased;
            frame = self.reliable_in.next() => Some(frame),
            _ = self.wait_closed() => self.reliable_in.pop(),
        }
    }

    /// Closes when what is reliable has arrived, or was given its time.
    pub(crate) fn close_after_reliable(&self, code: CloseCode, text: &str) {
        self.reliable_out
            .end(CloseReason::new(code, text, Side::Us));
    }

    /// Closes the link unless it is closing: no handle is left.
    pub(crate) fn close_as_unused(&self) {
        if !self.reliable_out.has_ended() {
            self.close(CloseCode::Consented, "");
        }
    }

    pub(crate) fn close(&self, code: CloseCode, text: &str) {
        self.end(CloseReason::new(code, text, Side::Us));
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        let is_closed = self.is_closed.load(Acquire);
        is_closed.then(|| self.closed.borrow().clone()).flatten()
    }

    pub(crate) async fn wait_closed(&self) -> CloseReason {
        let mut closed = self.closed.subscribe();
        let closed = closed.wait_for(Option::is_some).await;
        match closed.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            // The sender lives as long as this link does.
            Ok(None) | Err(_) => CloseReason::new(CloseCode::Internal, "", Side::Us),
        }
    }

    // --- the carrier's side

    /// Records the end. The first reason counts, and is returned.
    pub(crate) fn end(&self, reason: CloseReason) -> CloseReason {
        let first = reason.clone();
        let ends = self.closed.send_if_modified(|closed| {
            let open = closed.is_none();
            if open {
                *closed = Some(first);
                self.is_closed.store(true, Release);
            }
            open
        });
        if ends {
            // Nobody will take it, and a handle may be held for a while.
            self.sender.discard_unsent();
            self.reliable_out.clear();
        }
        self.closed().unwrap_or(reason)
    }

    /// Counts a message of the peer, whatever it is. False when a client sends more than anybody
    /// may; then the connection has to end.
    pub(crate) fn admits(&self, bytes: usize) -> bool {
        let admits = self.config.end == LinkEnd::Client || self.rate_limit.admits(bytes);
        if !admits {
            self.count_drops(DropReason::IncomingFlood, 1);
        }
        admits
    }

    /// Hands a received payload to the handles. It waits only where nothing may be lost.
    pub(crate) async fn deliver(&self, payload: Bytes) {
        if self.has_one_order {
            self.count_received(&payload);
            if payload.len() > self.config.reliable_in_max() {
                self.count_drops(DropReason::IncomingTooLarge, 1);
            } else {
                self.reliable_in.push_when_room(payload).await;
            }
        } else {
            self.deliver_datagram(payload);
        }
    }

    /// Hands a received datagram to the handles, unless there are more of them than anybody may
    /// send.
    pub(crate) fn deliver_admitted(&self, payload: Bytes) {
        if self.admits(payload.len()) {
            self.deliver_datagram(payload);
        } else {
            self.end(CloseReason::flooded());
        }
    }

    /// Hands a received datagram to the handles; the oldest is dropped when they do not take them.
    fn deliver_datagram(&self, payload: Bytes) {
        self.count_received(&payload);
        if payload.len() > DATAGRAM_SIZE_MAX {
            self.count_drops(DropReason::IncomingTooLarge, 1);
        } else if let Pushed::Overflowed { dropped, .. } = self.datagrams_in.push(payload) {
            self.count_drops(DropReason::IncomingFull, dropped);
        }
    }

    /// Hands a received reliable frame to the handles as soon as they have room for it.
    pub(crate) async fn deliver_reliable(&self, frame: Bytes) {
        self.count_received(&frame);
        self.reliable_in.push_when_room(frame).await;
    }

    fn count_received(&self, payload: &Bytes) {
        self.traffic.received(payload.len());
        self.config.events.traffic.received(payload.len());
    }

    /// Waits for reliable frames to send; the reason to close when there are no more. What was
    /// taken has to be counted as sent.
    pub(crate) async fn next_reliable(&self) -> Result<Vec<Bytes>, CloseReason> {
        let (frames, bytes) = (RELIABLE_BATCH_FRAMES, WRITE_BYTES_MIN);
        self.reliable_out.next_batch(frames, bytes).await
    }

    /// Counts a reliable frame that was handed to the carrier.
    pub(crate) fn count_sent_reliable(&self, bytes: usize) {
        self.count_sent(bytes);
        self.reliable_out.release(bytes);
    }

    /// Waits until the last reliable frames have had their time to be delivered.
    pub(crate) async fn reliable_overdue(&self) -> CloseReason {
        let reason = self.reliable_out.wait_ended().await;
        tokio::time::sleep(CLOSE_DEADLINE).await;
        reason
    }

    /// Counts a datagram that was handed to the carrier.
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.traffic.sent(bytes);
        self.config.events.traffic.sent(bytes);
    }

    pub(crate) fn count_drops(&self, reason: DropReason, datagrams: u64) {
        self.traffic.dropped(reason, datagrams);
        self.config.events.traffic.dropped(reason, datagrams);
    }
}
