//! Serves a link over a WebSocket: reads it, writes what is reliable, keeps it alive and closes it
//! in order. Datagrams leave by the send queue, beside this.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, sleep, timeout};
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_util::task::AbortOnDropHandle;

use crate::carrier::LinkLife;
use crate::close::{CloseCode, CloseReason, Side};
use crate::events::DropReason;
use crate::limits::{CLOSE_DEADLINE, KEEP_ALIVE, WEBSOCKET_BUFFER};
use crate::link::Link;
use crate::websocket::close::{close, close_reason, is_after_peer_close};
use crate::websocket::liveness::Liveness;
use crate::websocket::message_socket::Flow;
use crate::websocket::received::ReceivedMessage;
use crate::websocket::send_queue::SendQueue;

/// What serves one link.
#[derive(Clone)]
pub(crate) struct ConnectionTask {
    link: Arc<Link>,
    queue: Arc<SendQueue>,
    liveness: Arc<Liveness>,
}

impl ConnectionTask {
    pub(crate) fn new(link: Arc<Link>, queue: Arc<SendQueue>) -> Self {
        Self {
            link,
            queue,
            liveness: Arc::new(Liveness::new()),
        }
    }

    /// Serves the link until it ends.
    pub(crate) async fn run(self, life: LinkLife) {
        let link = &self.link;
        // A task of its own, so that a message wakes its reader and nothing else.
        let reader = AbortOnDropHandle::new(tokio::spawn(self.clone().read()));
        let reason = tokio::select! {
            reason = link.wait_closed() => reason,
            reason = reader => link.end(reason.unwrap_or_else(|_| CloseReason::stopping())),
            reason = self.write(life.first) => link.end(reason),
            reason = self.silent(life.idle_timeout) => link.end(reason),
            reason = link.reliable_overdue() => link.end(reason),
            () = life.stop.cancelled() => link.end(CloseReason::stopping()),
        };
        let socket = self.queue.socket();
        // The peer may be gone or may not read; then the socket is closed at the deadline.
        let _ = timeout(CLOSE_DEADLINE, close(socket, &reason)).await;
        // The link may be held for longer, and the socket with it.
        socket.shut_down();
    }

    async fn read(self) -> CloseReason {
        loop {
            let message = self.queue.socket().next().await;
            self.liveness.record();
            if let Err(reason) = self.receive(message).await {
                return reason;
            }
        }
    }

    /// Takes in what the peer sent; an error is how the connection ended.
    async fn receive(&self, message: Result<Message, WsError>) -> Result<(), CloseReason> {
        let bytes = message.as_ref().map_or(0, Message::len);
        if !self.link.admits(bytes) {
            return Err(CloseReason::flooded());
        }
        match ReceivedMessage::of(message, self.queue.encoding()) {
            ReceivedMessage::Frame(frame) => self.link.deliver(frame).await,
            ReceivedMessage::Pong(stamp) => {
                if let Some(round_trip) = self.liveness.round_trip(&stamp) {
                    self.queue.record_round_trip(round_trip);
                }
            }
            ReceivedMessage::Nothing => {}
            ReceivedMessage::BadText => self.link.count_drops(DropReason::IncomingBadText, 1),
            ReceivedMessage::End(reason) => return Err(reason),
        }
        Ok(())
    }

    /// Ends when nothing was received for too long.
    async fn silent(&self, idle_timeout: Duration) -> CloseReason {
        while let Some(left) = idle_timeout.checked_sub(self.liveness.silence()) {
            // At least a little, so that the time does pass.
            sleep(left.max(Duration::from_millis(1))).await;
        }
        let text = "nothing was heard for too long";
        CloseReason::new(CloseCode::Timeout, text, Side::Network)
    }

    /// Writes what comes first, then pings and reliable frames, and waits for the system where it
    /// takes no more.
    async fn write(&self, first: Option<Bytes>) -> CloseReason {
        let queue = &self.queue;
        let mut written = self.write_first(first);
        let mut pings = tokio::time::interval(KEEP_ALIVE);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let settled = match written {
                Ok(()) => queue.settle().await.map_err(|error| close_reason(&error)),
                Err(reason) => Err(reason),
            };
            if let Err(reason) = settled {
                return after_the_reader(reason).await;
            }
            written = tokio::select! {
                // In this order, so that a frame which has to come first does.
                biased;
                _ = pings.tick() => self.write_now(Message::Ping(self.liveness.stamp())),
                frames = self.link.next_reliable() => match frames {
                    Ok(frames) => self.write_reliable(frames).await,
                    Err(end) => return end,
                },
                settled = queue.wait_for_trouble() => settled,
            };
        }
    }

    fn write_first(&self, first: Option<Bytes>) -> Result<(), CloseReason> {
        let Some(first) = first else {
            return Ok(());
        };
        self.write_now(self.queue.encoding().message(first)?)
    }

    fn write_now(&self, message: Message) -> Result<(), CloseReason> {
        let written = self.queue.write([message]);
        written.map(drop).map_err(|error| close_reason(&error))
    }

    /// Writes reliable frames, as many at once as fit a buffer.
    async fn write_reliable(&self, frames: Vec<Bytes>) -> Result<(), CloseReason> {
        let (mut batch, mut sizes, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut frames = frames.into_iter().peekable();
        while let Some(frame) = frames.next() {
            bytes += frame.len();
            sizes.push(frame.len());
            batch.push(self.queue.encoding().message(frame)?);
            if bytes < WEBSOCKET_BUFFER && frames.peek().is_some() {
                continue;
            }
            bytes = 0;
            let flow = self.queue.write(batch.drain(..));
            if flow.map_err(|error| close_reason(&error))? == Flow::Blocked {
                let settled = self.queue.settle().await;
                settled.map_err(|error| close_reason(&error))?;
            }
            // Until here they count as unsent: they were in a buffer that is not counted.
            for size in sizes.drain(..) {
                self.link.count_sent_reliable(size);
            }
        }
        Ok(())
    }
}

/// How the writing half ended. When the peer has closed, the reader has its close frame: that
/// comes first.
async fn after_the_reader(reason: CloseReason) -> CloseReason {
    if is_after_peer_close(&reason) {
        sleep(CLOSE_DEADLINE).await;
    }
    reason
}
