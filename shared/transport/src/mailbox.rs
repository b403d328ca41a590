//! How datagrams leave: whoever sends puts them into the connection's mailbox and posts it; a few
//! tasks, the counters of the post office, hand on what is in all that are posted. A tick that sends
//! to a thousand wakes these few instead of a thousand tasks, and waits for no lock of the network.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::close::CloseReason;
use crate::encoding::Encoding;
use crate::events::{DropReason, Events, Traffic};
use crate::limits::{OUTGOING_BYTES_MAX, OUTGOING_DATAGRAMS_MAX};
use crate::queue::{DatagramQueue, Pushed, QueueBounds};
use crate::quic::{QuicSession, Sent};
use crate::socket::{Flow, Socket};
use crate::websocket::close_reason;
use bytes::Bytes;
use tokio::sync::Notify;

const OUTGOING: QueueBounds = QueueBounds {
    datagrams_max: OUTGOING_DATAGRAMS_MAX,
    bytes_max: OUTGOING_BYTES_MAX,
};
/// Mailboxes that a counter empties before it lets others run: about a fifth of a millisecond.
const MAILBOXES_AT_ONCE: usize = 32;

/// Where a mailbox's datagrams go.
#[derive(Debug, Clone)]
pub(crate) enum Exit {
    /// A WebSocket, and what its messages are made of.
    Socket(Arc<Socket>, Encoding),
    /// QUIC's own small buffer.
    Quic(Box<QuicSession>),
}

/// What waits to be sent by one connection.
#[derive(Debug)]
pub(crate) struct Mailbox {
    outgoing: DatagramQueue,
    exit: Exit,
    office: Arc<PostOffice>,
    counter: usize,
    traffic: Arc<Traffic>,
    events: Arc<Events>,
    /// It waits at its counter.
    is_posted: AtomicBool,
    /// The exit takes no more: datagrams stay here, where newer ones take their place.
    is_blocked: AtomicBool,
    /// It became blocked, or nothing can be sent at all.
    trouble: Notify,
    failure: OnceLock<CloseReason>,
}

/// Where mailboxes wait to be emptied. Each is there once at most, so as many wait as there are
/// connections.
#[derive(Debug)]
pub(crate) struct PostOffice {
    counters: Vec<Counter>,
    next: AtomicUsize,
}

#[derive(Debug, Default)]
struct Counter {
    waiting: Mutex<Vec<Arc<Mailbox>>>,
    filled: Notify,
}

impl PostOffice {
    /// An office whose counters have to be served: [`Self::serve`].
    pub(crate) fn with_counters(counters: usize) -> Arc<Self> {
        let counters = (0..counters.max(1)).map(|_| Counter::default());
        Arc::new(Self {
            counters: counters.collect(),
            next: AtomicUsize::new(0),
        })
    }

    /// How many counters there are.
    pub(crate) fn counters(&self) -> usize {
        self.counters.len()
    }

    /// Empties the mailboxes of one counter, for ever.
    pub(crate) async fn serve(self: Arc<Self>, counter: usize) {
        let counter = &self.counters[counter];
        let mut batch = Vec::new();
        loop {
            counter.filled.notified().await;
            std::mem::swap(&mut *counter.waiting(), &mut batch);
            for part in batch.chunks(MAILBOXES_AT_ONCE) {
                empty_all(part);
                tokio::task::yield_now().await;
            }
            batch.clear();
        }
    }

    fn post(&self, mailbox: &Arc<Mailbox>) {
        if mailbox.is_posted.swap(true, Ordering::AcqRel) {
            return;
        }
        let counter = &self.counters[mailbox.counter];
        counter.waiting().push(Arc::clone(mailbox));
        counter.filled.notify_one();
    }
}

fn empty_all(mailboxes: &[Arc<Mailbox>]) {
    for mailbox in mailboxes {
        mailbox.empty();
    }
}

impl Counter {
    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        // A panic elsewhere cannot leave the list half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// An empty one, at the next counter.
    pub(crate) fn new(
        exit: Exit,
        office: Arc<PostOffice>,
        traffic: Arc<Traffic>,
        events: Arc<Events>,
    ) -> Arc<Self> {
        let counter = office.next.fetch_add(1, Ordering::Relaxed) % office.counters();
        Arc::new(Self {
            outgoing: DatagramQueue::new(OUTGOING),
            exit,
            office,
            counter,
            traffic,
            events,
            is_posted: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            trouble: Notify::new(),
            failure: OnceLock::new(),
        })
    }

    /// Puts a datagram in.
    pub(crate) fn push(self: &Arc<Self>, datagram: Bytes) -> Pushed {
        let pushed = self.outgoing.push(datagram);
        self.office.post(self);
        pushed
    }

    /// Puts a datagram in the place of the last one of this kind, if that still waits.
    pub(crate) fn push_latest(self: &Arc<Self>, datagram: Bytes) -> Pushed {
        let pushed = self.outgoing.push_latest(datagram);
        self.office.post(self);
        pushed
    }

    /// Hands on what is in it, as far as the exit takes it.
    fn empty(&self) {
        // Before it is looked into, so that whatever comes from now on is posted again.
        self.is_posted.store(false, Ordering::Release);
        if self.is_blocked.load(Ordering::Acquire) {
            return;
        }
        let emptied = match &self.exit {
            Exit::Socket(socket, encoding) => self.write(socket, *encoding),
            Exit::Quic(session) => self.send(session),
        };
        match emptied {
            Ok(Flow::Free) => {}
            Ok(Flow::Blocked) => {
                self.block();
                self.trouble.notify_one();
            }
            Err(reason) => self.fail(reason),
        }
    }

    fn write(&self, socket: &Socket, encoding: Encoding) -> Result<Flow, CloseReason> {
        let messages = std::iter::from_fn(|| {
            let datagram = self.outgoing.pop()?;
            self.note_sent(datagram.len());
            match encoding.message(datagram) {
                Ok(message) => Some(message),
                Err(reason) => {
                    self.fail(reason);
                    None
                }
            }
        });
        socket.write(messages).map_err(|error| close_reason(&error))
    }

    fn send(&self, session: &QuicSession) -> Result<Flow, CloseReason> {
        while !self.outgoing.is_empty() {
            if !session.has_room() {
                return Ok(Flow::Blocked);
            }
            let Some(datagram) = self.outgoing.pop() else {
                break;
            };
            let size = datagram.len();
            self.note(session.send(datagram)?, size);
        }
        Ok(Flow::Free)
    }

    /// Counts what became of a datagram of this size.
    pub(crate) fn note(&self, sent: Sent, size: usize) {
        match sent {
            Sent::Whole => self.note_sent(size),
            Sent::TooLarge => {
                self.traffic.dropped(DropReason::OutgoingTooLarge, 1);
                self.events.traffic.dropped(DropReason::OutgoingTooLarge, 1);
            }
        }
    }

    fn note_sent(&self, bytes: usize) {
        self.traffic.sent(bytes);
        self.events.traffic.sent(bytes);
    }

    fn fail(&self, reason: CloseReason) {
        // The first failure tells what happened.
        let _ = self.failure.set(reason);
        self.trouble.notify_one();
    }

    /// Waits until the exit takes no more. The reason for the end when nothing can be sent any
    /// more.
    pub(crate) async fn wait_for_trouble(&self) -> Result<(), CloseReason> {
        self.trouble.notified().await;
        self.failure.get().cloned().map_or(Ok(()), Err)
    }

    /// The next datagram, for whoever waits for the exit.
    pub(crate) fn take(&self) -> Option<Bytes> {
        self.outgoing.pop()
    }

    /// From now on datagrams stay in it.
    pub(crate) fn block(&self) {
        self.is_blocked.store(true, Ordering::Release);
    }

    /// The exit takes more: goes on with what came meanwhile.
    pub(crate) fn unblock(self: &Arc<Self>) {
        if self.is_blocked.swap(false, Ordering::AcqRel) && !self.outgoing.is_empty() {
            self.office.post(self);
        }
    }
}
