//! What a connection's handles and its pump task share: the queues, the counters and the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use quinn::SendDatagramError;
use tokio::sync::watch;

use crate::attendant::Attendant;
use crate::close::{CloseCode, CloseReason, Side};
use crate::connection::SendError;
use crate::datagrams::{Datagrams, INCOMING, Queued};
use crate::encoding::Encoding;
use crate::events::{DropReason, Events, Incident, LinkStats, Traffic};
use crate::frame::Mode;
use crate::inflow::Inflow;
use crate::limits::{
    CLIENT_FRAME_BYTES_MAX, CLOSE_DEADLINE, DATAGRAM_SIZE_MAX, RELIABLE_BATCH_FRAMES,
    RELIABLE_BYTES_MAX, RELIABLE_FRAME_BYTES_MAX, RELIABLE_FRAMES_MAX, UNSENT_SHARE,
    WRITE_BYTES_MIN,
};
use crate::mailbox::{Mailbox, PostOffice};
use crate::queue::{Pushed, QueueBounds};
use crate::reliable::{Rejected, ReliableQueue};
use crate::socket::Socket;

const RELIABLE: QueueBounds = QueueBounds {
    datagrams_max: RELIABLE_FRAMES_MAX,
    bytes_max: RELIABLE_BYTES_MAX,
};

/// Which end of a link a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Server,
    Client,
}

/// A WebSocket that any thread may write to, and what its messages are made of.
pub(crate) type PostedSocket = (Arc<Socket>, Encoding);

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
    pub(crate) mode: Mode,
    pub(crate) end: End,
    pub(crate) peer: SocketAddr,
    pub(crate) datagram_size_max: usize,
    pub(crate) round_trip: RoundTrip,
    /// The WebSocket that datagrams are posted to, where no pump sends them.
    pub(crate) socket: Option<(PostedSocket, Arc<PostOffice>)>,
    /// Who attends the driver of its bare QUIC connection.
    pub(crate) attendant: Option<Arc<Attendant>>,
    pub(crate) slow_consumer_after: Duration,
    /// Bytes that may wait on all connections of these events before each has its share only.
    pub(crate) unsent_max: usize,
    pub(crate) events: Arc<Events>,
}

impl LinkConfig {
    /// Largest reliable frame in bytes that this end sends.
    fn reliable_out_max(&self) -> usize {
        match self.end {
            End::Server => RELIABLE_FRAME_BYTES_MAX,
            End::Client => CLIENT_FRAME_BYTES_MAX,
        }
    }

    /// Largest reliable frame in bytes that this end takes.
    pub(crate) fn reliable_in_max(&self) -> usize {
        match self.end {
            End::Server => CLIENT_FRAME_BYTES_MAX,
            End::Client => RELIABLE_FRAME_BYTES_MAX,
        }
    }

    /// True when everything that comes in is reliable and in one order.
    fn one_order_in(&self) -> bool {
        self.mode == Mode::Thin && self.kind == TransportKind::WebSocket
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    datagrams: Datagrams,
    reliable_in: ReliableQueue,
    reliable_out: ReliableQueue,
    closed: watch::Sender<Option<CloseReason>>,
    /// The same in short, for those who ask all the time.
    is_closed: AtomicBool,
    /// Without what has left a mailbox, which counts that itself.
    traffic: Traffic,
    inflow: Inflow,
}

impl Link {
    pub(crate) fn new(config: LinkConfig) -> Arc<Self> {
        let unsent = config.events.unsent.clone();
        let reliable_out = ReliableQueue::new(RELIABLE).counted_in(unsent);
        Arc::new(Self {
            datagrams: Datagrams::of(&config),
            config,
            reliable_in: ReliableQueue::new(INCOMING),
            reliable_out,
            inflow: Inflow::new(),
            closed: watch::Sender::new(None),
            is_closed: AtomicBool::new(false),
            traffic: Traffic::default(),
        })
    }

    pub(crate) fn config(&self) -> &LinkConfig {
        &self.config
    }

    pub(crate) fn stats(&self) -> LinkStats {
        let stats = self.traffic.stats();
        let posted = self.mailbox().map(|mailbox| mailbox.stats());
        let posted = posted.unwrap_or_default();
        LinkStats {
            datagrams_out: stats.datagrams_out + posted.datagrams_out,
            bytes_out: stats.bytes_out + posted.bytes_out,
            ..stats
        }
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        match &self.config.round_trip {
            RoundTrip::Quic(connection) => Some(connection.rtt()),
            RoundTrip::Measured(rtt_us) => {
                let rtt_us = rtt_us.load(Relaxed);
                (rtt_us > 0).then(|| Duration::from_micros(rtt_us))
            }
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
        self.check(&payload, self.config.datagram_size_max)?;
        self.judge(self.datagrams.push(payload));
        self.share_what_waits();
        Ok(())
    }

    pub(crate) fn send_latest(&self, payload: Bytes) -> Result<(), SendError> {
        self.check(&payload, self.config.datagram_size_max)?;
        self.judge(self.datagrams.push_latest(payload));
        self.share_what_waits();
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

    /// Counts what had to give way, and closes a peer that takes nothing for too long.
    fn judge(&self, pushed: Pushed) {
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
                self.share_what_waits();
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
    fn share_what_waits(&self) {
        if self.config.events.unsent.bytes() <= self.config.unsent_max {
            return;
        }
        let waits = self.datagrams.unsent_bytes() + self.reliable_out.bytes();
        if waits > UNSENT_SHARE {
            self.config.events.count(Incident::UnsentFull);
            let text = "too much waits to be taken, here and by others";
            self.close(CloseCode::SlowConsumer, text);
        }
    }

    pub(crate) fn reliable_backlog(&self) -> usize {
        self.reliable_out.bytes()
    }

    pub(crate) fn try_receive(&self) -> Option<Bytes> {
        if self.config.one_order_in() {
            return self.reliable_in.pop();
        }
        self.datagrams.incoming().pop()
    }

    /// Counts a datagram; false when it is larger than any may be.
    fn accepts(&self, payload: &Bytes) -> bool {
        self.count_received(payload);
        let fits = payload.len() <= DATAGRAM_SIZE_MAX;
        if !fits {
            self.count_drops(DropReason::IncomingTooLarge, 1);
        }
        fits
    }

    pub(crate) async fn receive(&self) -> Option<Bytes> {
        tokio::select! {
            biased;
            payload = self.next_incoming() => Some(payload),
            _ = self.wait_closed() => self.try_receive(),
        }
    }

    async fn next_incoming(&self) -> Bytes {
        if self.config.one_order_in() {
            return self.reliable_in.next().await;
        }
        self.datagrams.incoming().next().await
    }

    pub(crate) fn try_receive_reliable(&self) -> Option<Bytes> {
        let is_apart = !self.config.one_order_in();
        is_apart.then(|| self.reliable_in.pop()).flatten()
    }

    pub(crate) async fn receive_reliable(&self) -> Option<Bytes> {
        if self.config.one_order_in() {
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
    pub(crate) fn finish_and_close(&self, code: CloseCode, text: &str) {
        self.reliable_out
            .end(CloseReason::new(code, text, Side::Us));
    }

    /// Nobody holds the link any more.
    pub(crate) fn abandon(&self) {
        if !self.reliable_out.has_ended() {
            self.close(CloseCode::Consented, "");
        }
    }

    pub(crate) fn close(&self, code: CloseCode, text: &str) {
        self.finish(CloseReason::new(code, text, Side::Us));
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

    // --- the pump's side

    /// Notes the end. The first reason counts, and is returned.
    pub(crate) fn finish(&self, reason: CloseReason) -> CloseReason {
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
            // Nobody will take it, and who holds the other end may do so for a while.
            self.datagrams.clear_outgoing();
            self.reliable_out.clear();
        }
        self.closed().unwrap_or(reason)
    }

    /// Counts a message of the peer, whatever it is. False when a client sends more than anybody
    /// may; then the connection has to end.
    pub(crate) fn admits(&self, bytes: usize) -> bool {
        let admits = self.config.end == End::Client || self.inflow.admits(bytes);
        if !admits {
            self.count_drops(DropReason::IncomingFlood, 1);
        }
        admits
    }

    /// Hands a received payload to the handles. It waits only where nothing may be lost.
    pub(crate) async fn deliver(&self, payload: Bytes) {
        if self.config.one_order_in() {
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
            self.finish(CloseReason::flooded());
        }
    }

    /// Hands a received datagram to the handles; the oldest gives way when they do not take them.
    fn deliver_datagram(&self, payload: Bytes) {
        if self.accepts(&payload)
            && let Pushed::Overflowed { dropped, .. } = self.datagrams.incoming().push(payload)
        {
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
    /// taken has to be released.
    pub(crate) async fn next_reliable(&self) -> Result<Vec<Bytes>, CloseReason> {
        let (frames, bytes) = (RELIABLE_BATCH_FRAMES, WRITE_BYTES_MIN);
        self.reliable_out.next_batch(frames, bytes).await
    }

    /// Counts a reliable frame that was handed to the carrier.
    pub(crate) fn note_sent_reliable(&self, bytes: usize) {
        self.note_sent(bytes);
        self.reliable_out.release(bytes);
    }

    /// Waits until the time is over that the last reliable frames have.
    pub(crate) async fn last_words_overdue(&self) -> CloseReason {
        let reason = self.reliable_out.wait_ended().await;
        tokio::time::sleep(CLOSE_DEADLINE).await;
        reason
    }

    /// Who moves its datagrams; none where a pump or a post office does.
    pub(crate) fn attendant(&self) -> Option<&Arc<Attendant>> {
        self.queued()?.attendant.as_ref()
    }

    fn queued(&self) -> Option<&Queued> {
        match &self.datagrams {
            Datagrams::Queued(queued) => Some(queued),
            Datagrams::Posted(_) => None,
        }
    }

    /// Waits for the next payload that a pump has to send.
    pub(crate) async fn next_outgoing(&self) -> Bytes {
        let pumped = self.queued().filter(|queued| queued.attendant.is_none());
        match pumped {
            Some(queued) => queued.outgoing.next().await,
            None => std::future::pending().await,
        }
    }

    /// The next payload to send, if one is there.
    pub(crate) fn try_outgoing(&self) -> Option<Bytes> {
        self.queued()?.outgoing.pop()
    }

    /// The next payload to send, if it is not larger than this.
    pub(crate) fn try_outgoing_within(&self, bytes: usize) -> Option<Bytes> {
        self.queued()?.outgoing.pop_within(bytes)
    }

    /// Bytes of the next payload to send, if one is there.
    pub(crate) fn outgoing_size(&self) -> Option<usize> {
        self.queued()?.outgoing.next_size()
    }

    /// What its datagrams are posted into; none where a pump sends them.
    pub(crate) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        match &self.datagrams {
            Datagrams::Posted(posted) => Some(&posted.mailbox),
            Datagrams::Queued(_) => None,
        }
    }

    /// QUIC did not take a datagram.
    pub(crate) fn not_sent(&self, error: &SendDatagramError) {
        match error {
            SendDatagramError::TooLarge => self.count_drops(DropReason::OutgoingTooLarge, 1),
            SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => {
                self.close(CloseCode::ProtocolMismatch, "the peer takes no datagrams");
            }
            // The pump notes how it ended.
            SendDatagramError::ConnectionLost(_) => {}
        }
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
