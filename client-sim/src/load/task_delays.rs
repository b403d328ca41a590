//! Measures how long a task of the bots' network waits for its turn. A thread that plays bots wakes
//! a task the way it wakes those that send, and that task does nothing but record the delay.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::duration_histogram::DurationHistogram;

/// Probes that wait for their turn. When there are so many, no more are sent: those that wait
/// suffice.
const PROBES_MAX: usize = 128;

/// The end of one thread: it sends probes and takes the delays.
#[derive(Debug)]
pub(super) struct TaskDelays {
    probes: mpsc::Sender<Instant>,
    delays: Arc<Mutex<DurationHistogram>>,
}

impl TaskDelays {
    /// Starts the task; it ends with this.
    pub(super) fn watch(runtime: &Handle) -> Self {
        let (probes, mut sent) = mpsc::channel::<Instant>(PROBES_MAX);
        let delays = Arc::<Mutex<DurationHistogram>>::default();
        let recorded = Arc::clone(&delays);
        runtime.spawn(async move {
            while let Some(since) = sent.recv().await {
                record(&recorded, since);
            }
        });
        Self { probes, delays }
    }

    /// Wakes the task.
    pub(super) fn probe(&self) {
        let _full = self.probes.try_send(Instant::now());
    }

    /// The delays since it was called last.
    pub(super) fn take(&self) -> DurationHistogram {
        std::mem::take(&mut *self.delays.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn record(delays: &Mutex<DurationHistogram>, since: Instant) {
    let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
    delays.record(since.elapsed());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_task_that_has_no_turn_for_a_while_has_waited_as_long() {
        let delays = TaskDelays::watch(&Handle::current());
        let began = Instant::now();
        delays.probe();
        // The runtime's only thread is here, and gives nobody a turn.
        while began.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
        let recorded = delays.take();
        assert_eq!(recorded.count(), 1);
        assert!(recorded.ms_at(1.0).unwrap() >= 20.0, "{recorded:?}");
        assert_eq!(delays.take().count(), 0);
    }

    #[tokio::test]
    async fn no_more_probes_wait_than_may() {
        let delays = TaskDelays::watch(&Handle::current());
        (0..=PROBES_MAX).for_each(|_| delays.probe());
        tokio::task::yield_now().await;
        assert_eq!(delays.take().count(), PROBES_MAX as u64);
    }
}
