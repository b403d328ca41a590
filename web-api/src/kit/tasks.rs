//! Work that outlives whoever asked for it, and the end of the process.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The work under way in this process, and whether the process is about to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    draining: CancellationToken,
    running: TaskTracker,
}

impl Tasks {
    /// Runs a piece of work to its end even when whoever waits for it goes away: a write that is
    /// dropped half-way can take acknowledged writes of others with it (sqlx issue 4385).
    ///
    /// # Panics
    ///
    /// When the work panics, so that the caller's panic handler sees it.
    pub(crate) async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.running.spawn(work.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down, and whoever waits here with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Stops being ready: nobody new should be sent here. Streams of events end.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// True once [`Tasks::drain`] was called.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Cancelled by [`Tasks::drain`].
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Waits until all work of [`Tasks::run_to_end`] is done, at most so long. True when it is.
    pub(crate) async fn finish(&self, at_most: Duration) -> bool {
        self.running.close();
        tokio::time::timeout(at_most, self.running.wait())
            .await
            .is_ok()
    }
}
