//! How long a task of the bots' network waits for its turn. A thread that plays bots wakes one in
//! the way in which it wakes those that send, and this one does nothing but note the wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::books::Times;

/// Questions that wait for their turn. When there are so many, no more are put: those that wait
/// tell enough.
const QUESTIONS_MAX: usize = 128;

/// Where the task of one thread is asked, and what it has noted.
#[derive(Debug)]
pub(super) struct TaskWaits {
    put: mpsc::Sender<Instant>,
    waits: Arc<Mutex<Times>>,
}

impl TaskWaits {
    /// Starts the task; it ends with this.
    pub(super) fn watch(runtime: &Handle) -> Self {
        let (put, mut questions) = mpsc::channel::<Instant>(QUESTIONS_MAX);
        let waits = Arc::<Mutex<Times>>::default();
        let noted = Arc::clone(&waits);
        runtime.spawn(async move {
            while let Some(since) = questions.recv().await {
                note(&noted, since);
            }
        });
        Self { put, waits }
    }

    /// Wakes the task.
    pub(super) fn ask(&self) {
        let _full = self.put.try_send(Instant::now());
    }

    /// The waits since it was called last.
    pub(super) fn take(&self) -> Times {
        std::mem::take(&mut *self.waits.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note(waits: &Mutex<Times>, since: Instant) {
    let mut waits = waits.lock().unwrap_or_else(PoisonError::into_inner);
    waits.note(since.elapsed());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_task_that_has_no_turn_for_a_while_has_waited_as_long() {
        let waits = TaskWaits::watch(&Handle::current());
        let began = Instant::now();
        waits.ask();
        // The runtime's only thread is here, and gives nobody a turn.
        while began.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
        let noted = waits.take();
        assert_eq!(noted.count(), 1);
        assert!(noted.ms_at(1.0).unwrap() >= 20.0, "{noted:?}");
        assert_eq!(waits.take().count(), 0);
    }

    #[tokio::test]
    async fn no_more_questions_wait_than_may() {
        let waits = TaskWaits::watch(&Handle::current());
        (0..=QUESTIONS_MAX).for_each(|_| waits.ask());
        tokio::task::yield_now().await;
        assert_eq!(waits.take().count(), QUESTIONS_MAX as u64);
    }
}
