//! Datagrams of a bare QUIC connection, straight to and from QUIC's own queues: they are bounded,
//! drop their oldest when full, and no task has to run between them and whoever sends or takes.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use quinn::SendDatagramError;
use tokio::time::Instant;

use crate::limits::{DATAGRAM_SIZE_MAX, QUIC_DATAGRAM_SEND_BUFFER};
use crate::queue::{DatagramQueue, Pushed, QueueBounds};

/// Only the newest is held back.
const HELD: QueueBounds = QueueBounds {
    datagrams_max: 1,
    bytes_max: DATAGRAM_SIZE_MAX,
};
/// Datagrams after which it is counted how many were lost for want of room.
const COUNT_EVERY: u64 = 256;

/// What became of a datagram of which only the newest matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latest {
    Sent,
    Held(Pushed),
}

/// The datagrams of one connection.
#[derive(Debug)]
pub(crate) struct Direct {
    connection: quinn::Connection,
    held: DatagramQueue,
    /// Since when there has been no room without all being sent once.
    crowded_since: Mutex<Option<Instant>>,
    taken: AtomicU64,
    /// Datagrams taken when the missed ones are counted again.
    count_at: AtomicU64,
    /// Received datagrams of which nothing is known any more but that they were dropped.
    missed: AtomicU64,
}

impl Direct {
    pub(crate) fn new(connection: quinn::Connection) -> Self {
        Self {
            connection,
            held: DatagramQueue::new(HELD),
            crowded_since: Mutex::default(),
            taken: AtomicU64::new(0),
            count_at: AtomicU64::new(1),
            missed: AtomicU64::new(0),
        }
    }

    /// Sends a datagram; QUIC drops its oldest unsent ones when there is no room.
    pub(crate) fn send(&self, payload: Bytes) -> Result<Pushed, SendDatagramError> {
        let room = self.connection.datagram_send_buffer_space();
        let is_full = room < payload.len();
        self.connection.send_datagram(payload)?;
        if is_full {
            let since = self.note_crowded();
            return Ok(Pushed::Overflowed { dropped: 1, since });
        }
        self.note_room(room);
        Ok(Pushed::Kept)
    }

    /// Sends a datagram of which only the newest matters. Without room, the newest one is held
    /// back until there is.
    pub(crate) fn send_latest(&self, payload: Bytes) -> Result<Latest, SendDatagramError> {
        let room = self.connection.datagram_send_buffer_space();
        if room < payload.len() || !self.held.is_empty() {
            return Ok(Latest::Held(self.held.push_latest(payload)));
        }
        self.connection.send_datagram(payload)?;
        self.note_room(room);
        Ok(Latest::Sent)
    }

    /// What is held back, for the pump, which can wait for room.
    pub(crate) fn held(&self) -> &DatagramQueue {
        &self.held
    }

    fn note_crowded(&self) -> Instant {
        *self.crowded().get_or_insert_with(Instant::now)
    }

    fn note_room(&self, room: usize) {
        if room >= QUIC_DATAGRAM_SEND_BUFFER {
            *self.crowded() = None;
        }
    }

    fn crowded(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.crowded_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest datagram that was received.
    pub(crate) fn try_receive(&self) -> Option<Bytes> {
        let reading = pin!(self.connection.read_datagram());
        // Nobody has to be woken: whoever asks comes again.
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(payload)) => {
                self.taken.fetch_add(1, Relaxed);
                Some(payload)
            }
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// Waits for the next datagram. It never comes when the connection has ended.
    pub(crate) async fn receive(&self) -> Bytes {
        match self.connection.read_datagram().await {
            Ok(payload) => {
                self.taken.fetch_add(1, Relaxed);
                payload
            }
            Err(_) => std::future::pending().await,
        }
    }

    /// How many datagrams ever arrived, now and then, because it costs more than a datagram. Once
    /// the queue is found empty after that, [`Self::newly_missed`] tells which were dropped.
    pub(crate) fn arrived_when_due(&self) -> Option<u64> {
        let is_due = self.taken.load(Relaxed) >= self.count_at.load(Relaxed);
        is_due.then(|| self.connection.stats().frame_rx.datagram)
    }

    /// Of those that had arrived before the queue was found empty, the ones that were dropped
    /// unread and are not counted yet.
    pub(crate) fn newly_missed(&self, arrived: u64) -> u64 {
        let taken = self.taken.load(Relaxed);
        self.count_at.store(taken + COUNT_EVERY, Relaxed);
        let missed = arrived.saturating_sub(taken);
        missed.saturating_sub(self.missed.fetch_max(missed, Relaxed))
    }
}
