//! Messages from replica to replica. Whoever listens hears each one at most once; whoever does not
//! listen hears nothing, and nothing is kept.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::task::AbortOnDropHandle;

/// Messages that wait for a listener; one who falls further behind is told that some are missing.
pub(crate) const MESSAGES_QUEUED_MAX: usize = 1_024;

/// What goes through a queue: a message, or that some were lost on the way.
pub(crate) type Queued = Option<Arc<[u8]>>;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message.
    Message(Arc<[u8]>),
    /// Messages may be missing here: the listener fell behind, or the server was out of reach.
    Gap,
}

/// One listener's end of a channel. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    receiver: broadcast::Receiver<Queued>,
    _source: Option<AbortOnDropHandle<()>>,
}

impl Subscription {
    /// Hears what comes into this queue.
    pub(crate) fn local(receiver: broadcast::Receiver<Queued>) -> Self {
        Self {
            receiver,
            _source: None,
        }
    }

    /// The same, filled by a task that ends with the subscription.
    pub(crate) fn fed_by(
        receiver: broadcast::Receiver<Queued>,
        source: tokio::task::JoinHandle<()>,
    ) -> Self {
        Self {
            receiver,
            _source: Some(AbortOnDropHandle::new(source)),
        }
    }

    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Heard {
        match self.receiver.recv().await {
            Ok(Some(message)) => Heard::Message(message),
            Ok(None) | Err(RecvError::Lagged(_)) => Heard::Gap,
            // Whoever speaks is gone for good.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next message when it is here already.
    pub(crate) fn next_waiting(&mut self) -> Option<Heard> {
        match self.receiver.try_recv() {
            Ok(Some(message)) => Some(Heard::Message(message)),
            Ok(None) | Err(TryRecvError::Lagged(_)) => Some(Heard::Gap),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}
