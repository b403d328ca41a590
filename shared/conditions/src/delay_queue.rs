//! Holds packets until they are due, the earliest first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tokio::time::Instant;

/// Packets under way in one direction of one socket: two thousand players with 60 packets a
/// second, for half a second. At 1,500 bytes each they hold 98 MB at most; one more is dropped
/// and counted.
pub(crate) const UNDER_WAY_MAX: usize = 65_536;

/// Things that are due at a time each.
#[derive(Debug)]
pub(crate) struct DelayQueue<T> {
    held: BinaryHeap<Reverse<Held<T>>>,
    pushed: u64,
}

#[derive(Debug)]
struct Held<T> {
    due: Instant,
    /// Of two that are due at once, the one that came first is first.
    number: u64,
    item: T,
}

impl<T> DelayQueue<T> {
    pub(crate) fn new() -> Self {
        Self {
            held: BinaryHeap::new(),
            pushed: 0,
        }
    }

    /// False when there is no room.
    pub(crate) fn has_room(&self) -> bool {
        self.held.len() < UNDER_WAY_MAX
    }

    /// Holds something until it is due. Only for a queue that has room.
    pub(crate) fn push(&mut self, due: Instant, item: T) {
        let number = self.pushed;
        self.pushed += 1;
        self.held.push(Reverse(Held { due, number, item }));
    }

    /// When the first is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.held.peek().map(|first| first.0.due)
    }

    /// The first, if it is due.
    pub(crate) fn first_due(&self, now: Instant) -> Option<&T> {
        let first = self.held.peek()?;
        (first.0.due <= now).then_some(&first.0.item)
    }

    /// Takes the first.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.held.pop().map(|first| first.0.item)
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Held<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_of_equals_the_first() {
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let mut queue = DelayQueue::new();
        for (ms, name) in [(30, 'd'), (10, 'a'), (20, 'b'), (20, 'c')] {
            queue.push(after(ms), name);
        }
        assert_eq!(queue.first_due(after(9)), None);
        assert_eq!(queue.first_due(after(10)), Some(&'a'));
        assert_eq!(queue.next_due(), Some(after(10)));
        let order: String = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, "abcd");
    }

    #[test]
    fn a_queue_is_full_at_its_maximum() {
        let now = Instant::now();
        let mut queue = DelayQueue::new();
        for number in 0..UNDER_WAY_MAX {
            assert!(queue.has_room(), "{number}");
            queue.push(now, ());
        }
        assert!(!queue.has_room());
    }
}
