//! A bounded queue of datagrams that drops the oldest one when it is full: stale state is worth
//! less than fresh state.
//!
//! One side pushes and never waits; the other takes what is there, or waits for the next.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How much a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBounds {
    /// Most datagrams.
    pub datagrams_max: usize,
    /// Most bytes in all of them.
    pub bytes_max: usize,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The datagram is in the queue, and so is all that was there.
    Kept,
    /// Room had to be made.
    Overflowed {
        /// Datagrams that were dropped.
        dropped: u64,
        /// Since when datagrams have been dropped without the queue once becoming empty.
        since: Instant,
    },
    /// It took the place of one that only the newest matters of.
    Replaced {
        /// Since when datagrams have been replaced without one being taken.
        since: Instant,
    },
}

/// A bounded first-in-first-out queue that drops its oldest datagrams when it is full. It has
/// any number of producers and one consumer.
#[derive(Debug)]
pub struct DatagramQueue {
    bounds: QueueBounds,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    datagrams: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
    overflowing_since: Option<Instant>,
    /// Datagrams that ever left the front, taken or dropped.
    gone: usize,
    /// Where the newest datagram of [`DatagramQueue::push_latest`] stands, counted from the first
    /// datagram ever.
    latest: Option<usize>,
    replacing_since: Option<Instant>,
}

impl DatagramQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(bounds: QueueBounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Appends a datagram and drops the oldest ones over the bounds. Never waits. A datagram that
    /// is larger than the whole queue is itself dropped.
    pub fn push(&self, datagram: Bytes) -> Pushed {
        let pushed = self.state().push(datagram, self.bounds);
        self.filled.notify_one();
        pushed
    }

    /// Puts a datagram in the place of the last one pushed by this method, if that still waits;
    /// appends it otherwise. Never waits.
    pub fn push_latest(&self, datagram: Bytes) -> Pushed {
        let pushed = self.state().push_latest(datagram, self.bounds);
        self.filled.notify_one();
        pushed
    }

    /// Takes the oldest datagram. Never waits.
    #[must_use]
    pub fn pop(&self) -> Option<Bytes> {
        self.state().pop()
    }

    /// Takes the oldest datagram if it is not larger than this. Never waits.
    #[must_use]
    pub fn pop_within(&self, bytes: usize) -> Option<Bytes> {
        let mut state = self.state();
        let fits = state
            .datagrams
            .front()
            .is_some_and(|oldest| oldest.len() <= bytes);
        fits.then(|| state.pop()).flatten()
    }

    /// Bytes of the oldest datagram.
    #[must_use]
    pub fn next_size(&self) -> Option<usize> {
        self.state().datagrams.front().map(Bytes::len)
    }

    /// Waits for a datagram and takes it. Nothing is lost when the wait is given up.
    pub async fn next(&self) -> Bytes {
        loop {
            if let Some(datagram) = self.pop() {
                return datagram;
            }
            self.filled.notified().await;
        }
    }

    /// Datagrams that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().datagrams.len()
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Datagrams dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.state().dropped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half changed: nothing in here panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, datagram: Bytes, bounds: QueueBounds) -> Pushed {
        self.bytes += datagram.len();
        self.datagrams.push_back(datagram);
        self.make_room(bounds)
    }

    fn push_latest(&mut self, datagram: Bytes, bounds: QueueBounds) -> Pushed {
        let index = self.latest.and_then(|latest| latest.checked_sub(self.gone));
        let Some(waiting) = index.and_then(|index| self.datagrams.get_mut(index)) else {
            self.latest = Some(self.gone + self.datagrams.len());
            return self.push(datagram, bounds);
        };
        self.bytes = self.bytes - waiting.len() + datagram.len();
        *waiting = datagram;
        let since = *self.replacing_since.get_or_insert_with(Instant::now);
        let pushed = self.make_room(bounds);
        if pushed == Pushed::Kept {
            return Pushed::Replaced { since };
        }
        pushed
    }

    fn make_room(&mut self, bounds: QueueBounds) -> Pushed {
        let mut dropped = 0;
        while self.datagrams.len() > bounds.datagrams_max || self.bytes > bounds.bytes_max {
            self.take_oldest();
            dropped += 1;
        }
        if dropped == 0 {
            return Pushed::Kept;
        }
        self.dropped += dropped;
        let since = *self.overflowing_since.get_or_insert_with(Instant::now);
        Pushed::Overflowed { dropped, since }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.take_oldest();
        self.replacing_since = None;
        if self.datagrams.is_empty() {
            self.overflowing_since = None;
        }
        oldest
    }

    fn take_oldest(&mut self) -> Option<Bytes> {
        let oldest = self.datagrams.pop_front()?;
        self.bytes -= oldest.len();
        self.gone += 1;
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn queue(datagrams_max: usize, bytes_max: usize) -> DatagramQueue {
        DatagramQueue::new(QueueBounds {
            datagrams_max,
            bytes_max,
        })
    }

    fn datagram(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn the_oldest_datagram_makes_room_for_the_newest() {
        let queue = queue(2, 100);
        for text in ["a", "b", "c"] {
            queue.push(datagram(text));
        }
        assert_eq!(queue.pop(), Some(datagram("b")));
        assert_eq!(queue.pop(), Some(datagram("c")));
        assert_eq!((queue.pop(), queue.dropped()), (None, 1));
    }

    #[test]
    fn a_large_datagram_makes_room_for_all_its_bytes() {
        let queue = queue(10, 4);
        for text in ["aa", "bb", "ccc"] {
            queue.push(datagram(text));
        }
        assert_eq!((queue.len(), queue.bytes(), queue.dropped()), (1, 3, 2));
    }

    #[test]
    fn a_datagram_larger_than_the_queue_is_dropped() {
        let queue = queue(10, 4);
        queue.push(datagram("large"));
        assert!(queue.is_empty());
        assert_eq!(queue.dropped(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_overflow_lasts_until_the_queue_is_empty() {
        let queue = queue(1, 100);
        queue.push(datagram("a"));
        let began = Instant::now();
        queue.push(datagram("b"));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(
            queue.push(datagram("c")),
            Pushed::Overflowed {
                dropped: 1,
                since: began
            }
        );
        let _ = queue.pop();
        queue.push(datagram("d"));
        let now = Instant::now();
        assert_eq!(
            queue.push(datagram("e")),
            Pushed::Overflowed {
                dropped: 1,
                since: now
            }
        );
    }

    #[test]
    fn the_newest_of_its_kind_replaces_the_one_that_waits() {
        let queue = queue(10, 100);
        queue.push(datagram("a"));
        assert_eq!(queue.push_latest(datagram("old")), Pushed::Kept);
        queue.push(datagram("b"));
        assert!(matches!(
            queue.push_latest(datagram("newer")),
            Pushed::Replaced { .. }
        ));
        assert_eq!((queue.len(), queue.bytes(), queue.dropped()), (3, 7, 0));
        assert_eq!(queue.pop(), Some(datagram("a")));
        assert!(matches!(
            queue.push_latest(datagram("new")),
            Pushed::Replaced { .. }
        ));
        assert_eq!(queue.pop(), Some(datagram("new")));
        assert_eq!(queue.push_latest(datagram("next")), Pushed::Kept);
        assert_eq!(queue.pop(), Some(datagram("b")));
        assert_eq!(queue.pop(), Some(datagram("next")));
    }

    #[tokio::test(start_paused = true)]
    async fn replacing_lasts_until_something_is_taken() {
        let queue = queue(10, 100);
        let began = Instant::now();
        for text in ["a", "b"] {
            queue.push_latest(datagram(text));
        }
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(
            queue.push_latest(datagram("c")),
            Pushed::Replaced { since: began }
        );
        queue.push(datagram("other"));
        let _ = queue.pop();
        queue.push_latest(datagram("d"));
        let since = Instant::now();
        assert_eq!(queue.push_latest(datagram("e")), Pushed::Replaced { since });
    }

    #[tokio::test]
    async fn a_waiting_consumer_gets_what_is_pushed_later() {
        let queue = Arc::new(queue(4, 100));
        let shared = Arc::clone(&queue);
        let consumer = tokio::spawn(async move { shared.next().await });
        tokio::task::yield_now().await;
        queue.push(datagram("late"));
        assert_eq!(consumer.await.unwrap(), datagram("late"));
    }

    proptest! {
        #[test]
        fn no_sequence_of_pushes_passes_the_bounds(
            sizes in prop::collection::vec(0usize..64, 0..200),
        ) {
            let queue = queue(8, 128);
            for &size in &sizes {
                queue.push(Bytes::from(vec![0; size]));
                prop_assert!(queue.len() <= 8 && queue.bytes() <= 128);
            }
            prop_assert_eq!(queue.len() as u64 + queue.dropped(), sizes.len() as u64);
        }

        #[test]
        fn no_mixture_of_pushes_and_pops_passes_the_bounds_or_miscounts(
            steps in prop::collection::vec((0usize..64, 0u8..4), 0..200),
        ) {
            let queue = queue(8, 128);
            for &(size, step) in &steps {
                let datagram = Bytes::from(vec![0; size]);
                match step {
                    0 => drop(queue.pop()),
                    1 => drop(queue.push(datagram)),
                    _ => drop(queue.push_latest(datagram)),
                }
                prop_assert!(queue.len() <= 8 && queue.bytes() <= 128);
            }
            let bytes = queue.bytes();
            let taken: usize = std::iter::from_fn(|| queue.pop()).map(|each| each.len()).sum();
            prop_assert_eq!((bytes, 0), (taken, queue.bytes()));
        }
    }
}
