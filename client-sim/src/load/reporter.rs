//! Carries the statistics of threads to the run.

use tokio::sync::mpsc;

use super::stats_window::StatsWindow;

/// Windows that wait to be read; the run reads them every second.
const WINDOWS_MAX: usize = 64;

/// Where a thread reports its windows.
#[derive(Debug)]
pub(super) struct Reporter {
    thread: usize,
    windows: mpsc::Sender<(usize, StatsWindow)>,
}

impl Reporter {
    /// The reporter of thread 0, and where its windows are read.
    pub(super) fn new() -> (Self, mpsc::Receiver<(usize, StatsWindow)>) {
        let (windows, read) = mpsc::channel(WINDOWS_MAX);
        (Self { thread: 0, windows }, read)
    }

    /// The reporter of another thread.
    pub(super) fn for_thread(&self, thread: usize) -> Self {
        let windows = self.windows.clone();
        Self { thread, windows }
    }

    /// Reports a window.
    pub(super) fn report(&self, window: StatsWindow) {
        if self.windows.try_send((self.thread, window)).is_err() {
            tracing::warn!("nobody reads the swarm's windows");
        }
    }
}
