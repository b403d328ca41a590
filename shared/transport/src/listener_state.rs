//! What all connections of one listener share.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::Events;
use crate::websocket::send_queue::WriterPool;

#[derive(Debug)]
pub(crate) struct ListenerState {
    pub(crate) events: Arc<Events>,
    pub(crate) idle_timeout: Duration,
    pub(crate) slow_consumer_after: Duration,
    pub(crate) unsent_max: usize,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// What writes to each WebSocket.
    pub(crate) writers: Arc<WriterPool>,
    /// Connections may be answered from a thread without a runtime.
    pub(crate) runtime: Handle,
}
