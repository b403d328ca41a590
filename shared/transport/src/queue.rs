//! A bounded queue of datagrams that drops the oldest one when it is full: stale state is worth
//! less than fresh state.
//!
//! One side pushes and never waits; the other takes what is there, or waits for the next. Of what
//! only the newest matters, as many wait as are young enough: a consumer that is a moment late now
//! and then gets all of them, and a slow one gets the newest.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::{
    INCOMING_BYTES_MAX, INCOMING_DATAGRAMS_MAX, LATEST_WAITING_MAX, OUTGOING_BYTES_MAX,
    OUTGOING_DATAGRAMS_MAX, RELIABLE_BYTES_MAX, RELIABLE_FRAMES_MAX,
};
use crate::unsent_bytes::UnsentBytes;

/// How much a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBounds {
    /// Most datagrams.
    pub datagrams_max: usize,
    /// Most bytes in all of them.
    pub bytes_max: usize,
}

impl QueueBounds {
    /// Of what one connection receives.
    pub(crate) const INCOMING: Self = Self {
        datagrams_max: INCOMING_DATAGRAMS_MAX,
        bytes_max: INCOMING_BYTES_MAX,
    };
    /// Of the datagrams that one connection sends.
    pub(crate) const OUTGOING: Self = Self {
        datagrams_max: OUTGOING_DATAGRAMS_MAX,
        bytes_max: OUTGOING_BYTES_MAX,
    };
    /// Of the reliable frames that one connection sends.
    pub(crate) const RELIABLE: Self = Self {
        datagrams_max: RELIABLE_FRAMES_MAX,
        bytes_max: RELIABLE_BYTES_MAX,
    };
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
    /// It replaced others of its kind that had waited for too long.
    Replaced {
        /// How many did.
        replaced: u64,
        /// Since when datagrams have been replaced without one being taken.
        since: Instant,
    },
}

/// A bounded first-in-first-out queue that drops its oldest datagrams when it is full. It has
/// any number of producers and one consumer.
#[derive(Debug)]
pub struct DatagramQueue {
    bounds: QueueBounds,
    latest_age_max: Duration,
    /// Where its bytes count, too.
    unsent: UnsentBytes,
    state: Mutex<QueueState>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    datagrams: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
    overflowing_since: Option<Instant>,
    /// Datagrams that ever left the front, taken or dropped.
    gone: usize,
    /// The datagrams of [`DatagramQueue::push_latest`] that wait, oldest first. Those that have
    /// left the front may still be here.
    latest: VecDeque<Latest>,
    replacing_since: Option<Instant>,
}

/// A datagram that newer ones of its kind replace.
#[derive(Debug, Clone, Copy)]
struct Latest {
    /// Its position, counted from the first datagram ever.
    place: usize,
    pushed: Instant,
}

impl DatagramQueue {
    /// An empty queue, in which what only the newest matters of may become so old.
    #[must_use]
    pub fn new(bounds: QueueBounds, latest_age_max: Duration) -> Self {
        Self {
            bounds,
            latest_age_max,
            unsent: UnsentBytes::default(),
            state: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// The same, whose bytes count here as well.
    pub(crate) fn counted_in(mut self, unsent: UnsentBytes) -> Self {
        // It is empty as long as it is being made.
        self.unsent = unsent;
        self
    }

    /// Appends a datagram and drops the oldest ones over the bounds. Never waits. A datagram that
    /// is larger than the whole queue is itself dropped.
    pub fn push(&self, datagram: Bytes) -> Pushed {
        let pushed = self.change(|state| state.push(datagram, self.bounds));
        self.filled.notify_one();
        pushed
    }

    /// Appends a datagram of which only the newest matters. It replaces those pushed by this method
    /// that have waited for too long, or are too many: the others move up into their place,
    /// so that what else is queued never makes such a datagram wait for longer. Never waits.
    pub fn push_latest(&self, datagram: Bytes) -> Pushed {
        let (bounds, age_max) = (self.bounds, self.latest_age_max);
        let pushed = self.change(|state| state.push_latest(datagram, bounds, age_max));
        self.filled.notify_one();
        pushed
    }

    /// Takes the oldest datagram. Never waits.
    #[must_use]
    pub fn pop(&self) -> Option<Bytes> {
        self.change(QueueState::pop)
    }

    /// Takes the oldest datagram if it is not larger than this. Never waits.
    #[must_use]
    pub fn pop_within(&self, bytes: usize) -> Option<Bytes> {
        self.change(|state| {
            let oldest = state.datagrams.front()?;
            let fits = oldest.len() <= bytes;
            fits.then(|| state.pop()).flatten()
        })
    }

    /// Forgets what waits, because nobody will take it any more.
    pub(crate) fn clear(&self) {
        self.change(|state| while state.take_oldest().is_some() {});
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

    fn change<T>(&self, change: impl FnOnce(&mut QueueState) -> T) -> T {
        let mut state = self.state();
        let before = state.bytes;
        let done = change(&mut state);
        self.unsent.changed(before, state.bytes);
        done
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        // A panic elsewhere cannot leave the state half changed: nothing in here panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DatagramQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

impl QueueState {
    fn push(&mut self, datagram: Bytes, bounds: QueueBounds) -> Pushed {
        self.bytes += datagram.len();
        self.datagrams.push_back(datagram);
        self.make_room(bounds)
    }

    fn push_latest(&mut self, datagram: Bytes, bounds: QueueBounds, age_max: Duration) -> Pushed {
        let now = Instant::now();
        let replaced = self.take_stale(now, age_max);
        let place = self.gone + self.datagrams.len();
        self.latest.push_back(Latest { place, pushed: now });
        let pushed = self.push(datagram, bounds);
        let Some(first_place) = replaced.first_place else {
            return pushed;
        };
        self.move_up(first_place);
        let since = *self.replacing_since.get_or_insert(now);
        if pushed == Pushed::Kept {
            return Pushed::Replaced {
                replaced: replaced.count,
                since,
            };
        }
        pushed
    }

    /// Takes out those of the latest that are too old or too many for another one.
    fn take_stale(&mut self, now: Instant, age_max: Duration) -> Stale {
        let gone = self.gone;
        self.latest.retain(|latest| latest.place >= gone);
        let mut stale = Stale::default();
        while let Some(&oldest) = self.latest.front() {
            let is_old = now.duration_since(oldest.pushed) > age_max;
            if !is_old && self.latest.len() < LATEST_WAITING_MAX {
                break;
            }
            self.latest.pop_front();
            if let Some(datagram) = self.datagrams.remove(oldest.place - gone) {
                self.bytes -= datagram.len();
            }
            for latest in &mut self.latest {
                latest.place -= 1;
            }
            stale.first_place.get_or_insert(oldest.place);
            stale.count += 1;
        }
        stale
    }

    /// Moves each of the latest, the last of which was just appended, to where the one before it
    /// stands, and the first of them to this place. All else moves back, in its order.
    fn move_up(&mut self, first_place: usize) {
        let mut to = first_place;
        for index in 0..self.latest.len() {
            let from = self.latest[index].place;
            // Room may have been made at the front meanwhile.
            let (Some(from_index), Some(to_index)) =
                (from.checked_sub(self.gone), to.checked_sub(self.gone))
            else {
                return;
            };
            if let Some(datagram) = self.datagrams.remove(from_index) {
                self.datagrams.insert(to_index, datagram);
            }
            self.latest[index].place = to;
            to = from + 1;
        }
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

/// What [`QueueState::take_stale`] took out.
#[derive(Debug, Default)]
struct Stale {
    count: u64,
    /// Where the first of them stood.
    first_place: Option<usize>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::limits::{LATEST_AGE_MAX, LATEST_AGE_MAX_QUIC};

    /// Longer than one of the latest may wait.
    const TOO_LONG: Duration = Duration::from_millis(46);

    fn taken(queue: &DatagramQueue) -> Vec<Bytes> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    /// How many of the latest wait at most, when so many come in a second and none is taken.
    async fn waiting_at(per_second: u32, age_max: Duration) -> usize {
        let bounds = QueueBounds {
            datagrams_max: 100,
            bytes_max: 1_000,
        };
        let queue = DatagramQueue::new(bounds, age_max);
        let mut most = 0;
        for _ in 0..20 {
            queue.push_latest(datagram("snapshot"));
            most = most.max(queue.len());
            tokio::time::advance(Duration::from_secs(1) / per_second).await;
        }
        most
    }

    fn queue(datagrams_max: usize, bytes_max: usize) -> DatagramQueue {
        let bounds = QueueBounds {
            datagrams_max,
            bytes_max,
        };
        DatagramQueue::new(bounds, LATEST_AGE_MAX)
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

    #[tokio::test(start_paused = true)]
    async fn the_newest_of_its_kind_replaces_the_one_that_waits_for_too_long() {
        let queue = queue(10, 100);
        queue.push(datagram("a"));
        assert_eq!(queue.push_latest(datagram("old")), Pushed::Kept);
        queue.push(datagram("b"));
        tokio::time::advance(TOO_LONG).await;
        let newer = queue.push_latest(datagram("newer"));
        assert!(matches!(newer, Pushed::Replaced { replaced: 1, .. }));
        assert_eq!((queue.len(), queue.bytes(), queue.dropped()), (3, 7, 0));
        assert_eq!(queue.pop(), Some(datagram("a")));
        tokio::time::advance(TOO_LONG).await;
        let new = queue.push_latest(datagram("new"));
        assert!(matches!(new, Pushed::Replaced { replaced: 1, .. }));
        assert_eq!(queue.pop(), Some(datagram("new")));
        assert_eq!(queue.push_latest(datagram("next")), Pushed::Kept);
        assert_eq!(taken(&queue), ["b", "next"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_them_a_moment_late_gets_all_of_them() {
        let queue = queue(10, 100);
        queue.push_latest(datagram("first"));
        tokio::time::advance(Duration::from_millis(17)).await;
        assert_eq!(queue.push_latest(datagram("second")), Pushed::Kept);
        tokio::time::advance(Duration::from_millis(17)).await;
        assert_eq!(queue.push_latest(datagram("third")), Pushed::Kept);
        assert_eq!(taken(&queue), ["first", "second", "third"]);
    }

    #[tokio::test(start_paused = true)]
    async fn how_many_wait_is_decided_by_how_often_they_come() {
        for (per_second, tcp, quic) in [(10, 1, 1), (20, 1, 1), (30, 2, 1), (60, 3, 2)] {
            assert_eq!(waiting_at(per_second, LATEST_AGE_MAX).await, tcp);
            assert_eq!(waiting_at(per_second, LATEST_AGE_MAX_QUIC).await, quic);
        }
        let most = waiting_at(10_000, LATEST_AGE_MAX).await;
        assert_eq!(most, LATEST_WAITING_MAX);
    }

    /// Letters are ordinary, words are the newest of their kind; each of these takes 20 ms.
    async fn push_both_kinds(queue: &DatagramQueue, texts: &[&'static str]) {
        for text in texts {
            if text.len() == 1 {
                queue.push(datagram(text));
            } else {
                queue.push_latest(datagram(text));
                tokio::time::advance(Duration::from_millis(20)).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_stay_move_up_and_nothing_else_changes_its_order() {
        let queue = queue(20, 100);
        push_both_kinds(&queue, &["a", "one", "b", "two", "c"]).await;
        // 40 and 20 ms old: both stay, and after 10 ms more the first one does not.
        assert_eq!(queue.push_latest(datagram("three")), Pushed::Kept);
        queue.push(datagram("d"));
        tokio::time::advance(Duration::from_millis(10)).await;
        let four = queue.push_latest(datagram("four"));
        assert!(matches!(four, Pushed::Replaced { replaced: 1, .. }));
        let expected = ["a", "two", "b", "three", "c", "four", "d"];
        assert_eq!(taken(&queue), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_have_waited_for_too_long_give_way_at_once() {
        let queue = queue(20, 100);
        for text in ["one", "two", "three"] {
            queue.push_latest(datagram(text));
            queue.push(datagram("x"));
        }
        tokio::time::advance(TOO_LONG).await;
        let newest = queue.push_latest(datagram("newest"));
        assert!(matches!(newest, Pushed::Replaced { replaced: 3, .. }));
        assert_eq!(queue.bytes(), "newestxxx".len());
        assert_eq!(taken(&queue), ["newest", "x", "x", "x"]);
    }

    #[tokio::test(start_paused = true)]
    async fn replacing_lasts_until_something_is_taken() {
        let queue = queue(10, 100);
        queue.push_latest(datagram("a"));
        tokio::time::advance(TOO_LONG).await;
        let began = Instant::now();
        queue.push_latest(datagram("b"));
        tokio::time::advance(Duration::from_secs(3)).await;
        let replaced = |since| Pushed::Replaced { replaced: 1, since };
        assert_eq!(queue.push_latest(datagram("c")), replaced(began));
        queue.push(datagram("other"));
        let _ = queue.pop();
        queue.push_latest(datagram("d"));
        tokio::time::advance(TOO_LONG).await;
        let since = Instant::now();
        assert_eq!(queue.push_latest(datagram("e")), replaced(since));
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
            // More of the latest come than may wait, so that some give way.
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
