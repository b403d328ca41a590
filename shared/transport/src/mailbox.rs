//! How a WebSocket's datagrams leave: whoever sends puts them into the connection's mailbox and
//! posts it; a few tasks, the counters of the post office, write for all that are posted. A tick
//! that sends to a thousand wakes these few instead of a thousand tasks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::close::CloseReason;
use crate::encoding::Encoding;
use crate::events::{Events, LinkStats, Traffic};
use crate::limits::{LATEST_AGE_MAX, OUTGOING_BYTES_MAX, OUTGOING_DATAGRAMS_MAX};
use crate::queue::{DatagramQueue, Pushed, QueueBounds};
use crate::socket::{Flow, Socket};
use crate::websocket::close_reason;

const OUTGOING: QueueBounds = QueueBounds {
    datagrams_max: OUTGOING_DATAGRAMS_MAX,
    bytes_max: OUTGOING_BYTES_MAX,
};
/// Mailboxes that a counter empties before it lets others run: about a fifth of a millisecond.
const MAILBOXES_AT_ONCE: usize = 32;

/// What waits to be written to one connection.
#[derive(Debug)]
pub(crate) struct Mailbox {
    outgoing: DatagramQueue,
    socket: Arc<Socket>,
    encoding: Encoding,
    office: Arc<PostOffice>,
    counter: usize,
    /// What has left it.
    traffic: Traffic,
    events: Arc<Events>,
    /// It waits at its counter.
    is_posted: AtomicBool,
    /// What has to be said first was not, or the system takes no more: datagrams stay here, where
    /// newer ones take their place.
    is_blocked: AtomicBool,
    /// It became blocked, or cannot be written to at all.
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
    /// An empty one, at the next counter. Nothing leaves it before the first [`Self::settle`].
    pub(crate) fn new(
        (socket, encoding): (Arc<Socket>, Encoding),
        office: Arc<PostOffice>,
        events: Arc<Events>,
    ) -> Arc<Self> {
        let counter = office.next.fetch_add(1, Ordering::Relaxed) % office.counters();
        Arc::new(Self {
            outgoing: DatagramQueue::new(OUTGOING, LATEST_AGE_MAX)
                .counted_in(events.unsent.clone()),
            socket,
            encoding,
            office,
            counter,
            traffic: Traffic::default(),
            events,
            is_posted: AtomicBool::new(false),
            is_blocked: AtomicBool::new(true),
            trouble: Notify::new(),
            failure: OnceLock::new(),
        })
    }

    /// What has left it so far.
    pub(crate) fn stats(&self) -> LinkStats {
        self.traffic.stats()
    }

    /// Bytes that wait in it.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outgoing.bytes()
    }

    /// Forgets what waits in it.
    pub(crate) fn clear(&self) {
        self.outgoing.clear();
    }

    /// Puts a datagram in.
    pub(crate) fn push(self: &Arc<Self>, datagram: Bytes) -> Pushed {
        let pushed = self.outgoing.push(datagram);
        self.office.post(self);
        pushed
    }

    /// Puts a datagram in, for which those of its kind that have waited for too long give way.
    pub(crate) fn push_latest(self: &Arc<Self>, datagram: Bytes) -> Pushed {
        let pushed = self.outgoing.push_latest(datagram);
        self.office.post(self);
        pushed
    }

    /// Writes what is in it, as far as the system takes it.
    fn empty(&self) {
        // Before it is looked into, so that whatever comes from now on is posted again.
        self.is_posted.store(false, Ordering::Release);
        if self.is_blocked.load(Ordering::Acquire) {
            return;
        }
        let messages = std::iter::from_fn(|| {
            let datagram = self.outgoing.pop()?;
            self.traffic.sent(datagram.len());
            self.events.traffic.sent(datagram.len());
            match self.encoding.message(datagram) {
                Ok(message) => Some(message),
                Err(reason) => {
                    self.fail(reason);
                    None
                }
            }
        });
        match self.socket.write_while_free(messages) {
            Ok(Flow::Free) => {}
            Ok(Flow::Blocked) => {
                self.is_blocked.store(true, Ordering::Release);
                self.trouble.notify_one();
            }
            Err(error) => self.fail(close_reason(&error)),
        }
    }

    fn fail(&self, reason: CloseReason) {
        // The first failure tells what happened.
        let _ = self.failure.set(reason);
        self.trouble.notify_one();
    }

    /// Writes messages beside the datagrams. When it is blocked, [`Self::settle`] comes next.
    pub(crate) fn write(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Flow, WsError> {
        let flow = self.socket.write(messages)?;
        if flow == Flow::Blocked {
            self.is_blocked.store(true, Ordering::Release);
        }
        Ok(flow)
    }

    /// Waits until the system takes no more. The reason for the end when nothing can be written
    /// any more.
    pub(crate) async fn wait_for_trouble(&self) -> Result<(), CloseReason> {
        self.trouble.notified().await;
        self.failure.get().cloned().map_or(Ok(()), Err)
    }

    /// Waits until all that was written is on its way, and goes on with what came meanwhile. An
    /// error too when the peer takes too little of it.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), WsError> {
        self.socket.flushed().await?;
        if self.is_blocked.swap(false, Ordering::AcqRel) && !self.outgoing.is_empty() {
            self.office.post(self);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

    use super::*;

    async fn sockets() -> [Arc<Socket>; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let socket = |stream, role| Arc::new(Socket::new(stream, role, WebSocketConfig::default()));
        [
            socket(near.unwrap(), Role::Client),
            socket(far.unwrap().0, Role::Server),
        ]
    }

    #[tokio::test]
    async fn a_datagram_does_not_overtake_what_has_to_be_said_first() {
        let [client, server] = sockets().await;
        let office = PostOffice::with_counters(1);
        let posted = (server, Encoding::MessagePack);
        let mailbox = Mailbox::new(posted, Arc::clone(&office), Arc::default());
        // A tick sends before the link's own task has run once.
        mailbox.push(Bytes::from_static(b"datagram"));
        mailbox.empty();
        let first = Message::binary(Bytes::from_static(b"welcome"));
        mailbox.write([first.clone()]).unwrap();
        mailbox.settle().await.unwrap();
        tokio::spawn(office.serve(0));
        assert_eq!(client.next().await.unwrap(), first);
        let second = Message::binary(Bytes::from_static(b"datagram"));
        assert_eq!(client.next().await.unwrap(), second);
    }
}
