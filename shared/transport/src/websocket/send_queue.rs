//! How a WebSocket's datagrams leave: whoever sends puts them into the connection's queue and
//! schedules it; a few tasks, the writers of a pool, write for all that are scheduled. A tick that
//! sends to a thousand wakes these few instead of a thousand tasks. It knows no link.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::session::TransportKind;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_util::task::AbortOnDropHandle;

use crate::close::CloseReason;
use crate::datagram_sender::DatagramSender;
use crate::events::{Events, LinkStats, Traffic};
use crate::limits::LATEST_AGE_MAX;
use crate::queue::{DatagramQueue, Pushed, QueueBounds};
use crate::websocket::close::close_reason;
use crate::websocket::encoding::Encoding;
use crate::websocket::message_socket::{Flow, MessageSocket};

/// Queues that a writer empties before it lets others run: about a fifth of a millisecond.
const QUEUES_AT_ONCE: usize = 32;

/// What waits to be written to one connection.
#[derive(Debug)]
pub(crate) struct SendQueue {
    outgoing: DatagramQueue,
    socket: Arc<MessageSocket>,
    encoding: Encoding,
    pool: Arc<WriterPool>,
    /// Which of its writers empties it.
    writer: usize,
    /// The last answered ping in microseconds; 0 before the first.
    rtt_us: AtomicU64,
    /// What has left it.
    traffic: Traffic,
    events: Arc<Events>,
    /// It waits at its writer.
    is_scheduled: AtomicBool,
    /// What has to be sent first was not, or the system takes no more: datagrams stay here, where
    /// newer ones take their place.
    is_blocked: AtomicBool,
    /// It became blocked, or cannot be written to at all.
    trouble: Notify,
    failure: OnceLock<CloseReason>,
}

/// Where queues wait to be emptied. Each is there once at most, so as many wait as there are
/// connections.
#[derive(Debug)]
pub(crate) struct WriterPool {
    writers: Vec<(Arc<QueueWriter>, AbortOnDropHandle<()>)>,
    next: AtomicUsize,
}

#[derive(Debug, Default)]
struct QueueWriter {
    waiting: Mutex<Vec<Arc<SendQueue>>>,
    filled: Notify,
}

impl WriterPool {
    /// A pool of so many writers, which run until it is dropped. In a tokio runtime.
    pub(crate) fn spawn(writers: usize) -> Arc<Self> {
        let writers = (0..writers.max(1)).map(|_| {
            let writer = Arc::<QueueWriter>::default();
            let task = tokio::spawn(Arc::clone(&writer).run());
            (writer, AbortOnDropHandle::new(task))
        });
        Arc::new(Self {
            writers: writers.collect(),
            next: AtomicUsize::new(0),
        })
    }

    fn schedule(&self, queue: &Arc<SendQueue>) {
        if queue.is_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let (writer, _) = &self.writers[queue.writer];
        writer.waiting().push(Arc::clone(queue));
        writer.filled.notify_one();
    }
}

fn empty_all(queues: &[Arc<SendQueue>]) {
    for queue in queues {
        queue.empty();
    }
}

impl QueueWriter {
    /// Empties queues, for ever.
    async fn run(self: Arc<Self>) {
        let mut batch = Vec::new();
        loop {
            self.filled.notified().await;
            std::mem::swap(&mut *self.waiting(), &mut batch);
            for part in batch.chunks(QUEUES_AT_ONCE) {
                empty_all(part);
                tokio::task::yield_now().await;
            }
            batch.clear();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<SendQueue>>> {
        // A panic elsewhere cannot leave the list half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SendQueue {
    /// An empty one, at the next writer. Nothing leaves it before the first [`Self::settle`].
    pub(crate) fn new(
        socket: Arc<MessageSocket>,
        encoding: Encoding,
        pool: Arc<WriterPool>,
        events: Arc<Events>,
    ) -> Arc<Self> {
        let writer = pool.next.fetch_add(1, Ordering::Relaxed) % pool.writers.len();
        Arc::new(Self {
            outgoing: DatagramQueue::new(QueueBounds::OUTGOING, LATEST_AGE_MAX)
                .counted_in(events.unsent.clone()),
            socket,
            encoding,
            pool,
            writer,
            rtt_us: AtomicU64::new(0),
            traffic: Traffic::default(),
            events,
            is_scheduled: AtomicBool::new(false),
            is_blocked: AtomicBool::new(true),
            trouble: Notify::new(),
            failure: OnceLock::new(),
        })
    }

    pub(crate) fn socket(&self) -> &MessageSocket {
        &self.socket
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Records an answered ping.
    pub(crate) fn record_round_trip(&self, measured: Duration) {
        let measured_us = u64::try_from(measured.as_micros()).unwrap_or(u64::MAX);
        self.rtt_us.store(measured_us.max(1), Ordering::Relaxed);
    }

    /// Writes what is in it, as far as the system takes it.
    fn empty(&self) {
        // Before it is looked into, so that whatever comes from now on is scheduled again.
        self.is_scheduled.store(false, Ordering::Release);
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
        // The first failure is the cause of the others.
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
            self.pool.schedule(self);
        }
        Ok(())
    }
}

impl DatagramSender for Arc<SendQueue> {
    fn kind(&self) -> TransportKind {
        TransportKind::WebSocket
    }

    fn has_one_order(&self) -> bool {
        true
    }

    fn send(&self, datagram: Bytes) -> Pushed {
        let pushed = self.outgoing.push(datagram);
        self.pool.schedule(self);
        pushed
    }

    fn send_latest(&self, datagram: Bytes) -> Pushed {
        let pushed = self.outgoing.push_latest(datagram);
        self.pool.schedule(self);
        pushed
    }

    fn unsent_bytes(&self) -> usize {
        self.outgoing.bytes()
    }

    fn discard_unsent(&self) {
        self.outgoing.clear();
    }

    fn round_trip(&self) -> Option<Duration> {
        let rtt_us = self.rtt_us.load(Ordering::Relaxed);
        (rtt_us > 0).then(|| Duration::from_micros(rtt_us))
    }

    fn sent(&self) -> LinkStats {
        self.traffic.stats()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

    use super::*;

    async fn sockets() -> [Arc<MessageSocket>; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let socket =
            |stream, role| Arc::new(MessageSocket::tcp(stream, role, WebSocketConfig::default()));
        [
            socket(near.unwrap(), Role::Client),
            socket(far.unwrap().0, Role::Server),
        ]
    }

    #[tokio::test]
    async fn a_datagram_does_not_overtake_what_has_to_be_sent_first() {
        let [client, server] = sockets().await;
        let pool = WriterPool::spawn(1);
        let queue = SendQueue::new(server, Encoding::MessagePack, pool, Arc::default());
        // A tick sends before the link's own task has run once.
        queue.send(Bytes::from_static(b"datagram"));
        queue.empty();
        let first = Message::binary(Bytes::from_static(b"welcome"));
        queue.write([first.clone()]).unwrap();
        queue.settle().await.unwrap();
        assert_eq!(client.next().await.unwrap(), first);
        let second = Message::binary(Bytes::from_static(b"datagram"));
        assert_eq!(client.next().await.unwrap(), second);
    }
}
