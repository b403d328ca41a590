//! A bounded queue that loses nothing: when it is full it takes nothing, and the producer decides
//! what that means. It knows neither streams nor messages.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::close::CloseReason;
use crate::queue::QueueBounds;
use crate::unsent_bytes::UnsentBytes;

/// A first-in-first-out queue of reliable frames with any number of producers and one consumer.
/// A frame counts until its consumer releases it.
#[derive(Debug)]
pub(crate) struct ReliableQueue {
    bounds: QueueBounds,
    /// Where its bytes count, too.
    unsent: UnsentBytes,
    state: Mutex<ReliableState>,
    filled: Notify,
    drained: Notify,
    ended: Notify,
}

#[derive(Debug, Default)]
struct ReliableState {
    frames: VecDeque<Bytes>,
    /// Bytes of the frames, and of those that the consumer is not done with.
    bytes: usize,
    producer_waits: bool,
    end: Option<CloseReason>,
}

/// Why a frame was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    Full,
    Ended,
}

impl ReliableQueue {
    pub(crate) fn new(bounds: QueueBounds) -> Self {
        Self {
            bounds,
            unsent: UnsentBytes::default(),
            state: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// The same, whose bytes count here as well.
    pub(crate) fn counted_in(mut self, unsent: UnsentBytes) -> Self {
        // It is empty as long as it is being made.
        self.unsent = unsent;
        self
    }

    fn change<T>(&self, change: impl FnOnce(&mut ReliableState) -> T) -> T {
        let mut state = self.state();
        let before = state.bytes;
        let done = change(&mut state);
        self.unsent.changed(before, state.bytes);
        done
    }

    fn state(&self) -> MutexGuard<'_, ReliableState> {
        // A panic elsewhere cannot leave the state half changed: nothing in here panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- the producers' side

    /// Appends a frame if it fits. An empty queue takes a frame of any size.
    pub(crate) fn push(&self, frame: Bytes) -> Result<(), Rejected> {
        self.change(|state| state.push(frame, self.bounds))?;
        self.filled.notify_one();
        Ok(())
    }

    /// Appends a frame as soon as it fits, unless the queue has ended. Only one producer may wait
    /// at a time.
    pub(crate) async fn push_when_room(&self, frame: Bytes) {
        while !self.push_or_ask(&frame) {
            self.drained.notified().await;
        }
    }

    /// Appends a frame, or asks to be notified when there is more room. False in the second case.
    fn push_or_ask(&self, frame: &Bytes) -> bool {
        let waits = self.change(|state| {
            state.producer_waits = state.push(frame.clone(), self.bounds) == Err(Rejected::Full);
            state.producer_waits
        });
        if !waits {
            self.filled.notify_one();
        }
        !waits
    }

    /// Takes no more frames; the first reason counts.
    pub(crate) fn end(&self, reason: CloseReason) {
        self.state().end.get_or_insert(reason);
        self.filled.notify_one();
        self.ended.notify_one();
    }

    /// True when no more frames are taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().end.is_some()
    }

    /// Bytes that the consumer is not done with.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    // --- the consumer's side

    /// Takes the oldest frame and is done with it.
    pub(crate) fn pop(&self) -> Option<Bytes> {
        let (frame, producer_waits) = self.change(|state| {
            let frame = state.frames.pop_front()?;
            let producer_waits = state.release(frame.len());
            Some((frame, producer_waits))
        })?;
        if producer_waits {
            self.drained.notify_one();
        }
        Some(frame)
    }

    /// Waits for a frame, takes it and is done with it. Nothing is lost when the wait is given up.
    pub(crate) async fn next(&self) -> Bytes {
        loop {
            if let Some(frame) = self.pop() {
                return frame;
            }
            self.filled.notified().await;
        }
    }

    /// Waits for frames and takes the oldest ones, and no more of them once they have so many
    /// bytes; with none left, the end. Nothing is lost when the wait is given up.
    pub(crate) async fn next_batch(
        &self,
        frames_max: usize,
        bytes_enough: usize,
    ) -> Result<Vec<Bytes>, CloseReason> {
        loop {
            if let Some(taken) = self.state().take(frames_max, bytes_enough) {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    /// The consumer is done with so many bytes of what it took as a batch.
    pub(crate) fn release(&self, bytes: usize) {
        let producer_waits = self.change(|state| state.release(bytes));
        if producer_waits {
            self.drained.notify_one();
        }
    }

    /// Forgets what waits, because nobody will take it any more.
    pub(crate) fn clear(&self) {
        self.change(|state| {
            state.frames.clear();
            state.bytes = 0;
        });
    }

    /// Waits until no more frames are taken. Only one task may wait.
    pub(crate) async fn wait_ended(&self) -> CloseReason {
        loop {
            if let Some(end) = self.state().end.clone() {
                return end;
            }
            self.ended.notified().await;
        }
    }
}

impl Drop for ReliableQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

impl ReliableState {
    fn push(&mut self, frame: Bytes, bounds: QueueBounds) -> Result<(), Rejected> {
        if self.end.is_some() {
            return Err(Rejected::Ended);
        }
        if !self.has_room(frame.len(), bounds) {
            return Err(Rejected::Full);
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        Ok(())
    }

    fn take(
        &mut self,
        frames_max: usize,
        bytes_enough: usize,
    ) -> Option<Result<Vec<Bytes>, CloseReason>> {
        let mut bytes = 0;
        let fits = |frame: &&Bytes| {
            let more = bytes < bytes_enough;
            bytes += frame.len();
            more
        };
        let count = self.frames.iter().take(frames_max).take_while(fits).count();
        if count > 0 {
            return Some(Ok(self.frames.drain(..count).collect()));
        }
        self.end.clone().map(Err)
    }

    fn has_room(&self, size: usize, bounds: QueueBounds) -> bool {
        let empty = self.frames.is_empty() && self.bytes == 0;
        let fits =
            self.frames.len() < bounds.datagrams_max && self.bytes + size <= bounds.bytes_max;
        empty || fits
    }

    /// True when a producer waits for the room that this makes.
    fn release(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_sub(bytes);
        std::mem::take(&mut self.producer_waits)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::close::{CloseCode, Side};

    fn queue(frames_max: usize, bytes_max: usize) -> ReliableQueue {
        ReliableQueue::new(QueueBounds {
            datagrams_max: frames_max,
            bytes_max,
        })
    }

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_full_queue_takes_no_frame_and_loses_none() {
        let queue = queue(2, 100);
        assert_eq!(queue.push(frame("a")), Ok(()));
        assert_eq!(queue.push(frame("b")), Ok(()));
        assert_eq!(queue.push(frame("c")), Err(Rejected::Full));
        assert_eq!(queue.pop(), Some(frame("a")));
        assert_eq!(queue.pop(), Some(frame("b")));
        assert_eq!(queue.pop(), None);
    }

    #[tokio::test]
    async fn a_frame_counts_until_the_consumer_is_done_with_it() {
        let queue = queue(10, 4);
        queue.push(frame("aaa")).unwrap();
        let batch = queue.next_batch(8, 100).await.unwrap();
        assert_eq!((batch, queue.bytes()), (vec![frame("aaa")], 3));
        assert_eq!(queue.push(frame("bb")), Err(Rejected::Full));
        queue.release(3);
        assert_eq!(queue.push(frame("bb")), Ok(()));
    }

    #[test]
    fn an_empty_queue_takes_a_frame_of_any_size_but_not_without_end() {
        let queue = queue(2, 4);
        queue.push(frame("larger")).unwrap();
        assert_eq!(queue.push(frame("")), Err(Rejected::Full));
        assert!(queue.pop().is_some());
        queue.push(frame("")).unwrap();
        queue.push(frame("")).unwrap();
        assert_eq!(queue.push(frame("")), Err(Rejected::Full));
    }

    #[tokio::test]
    async fn a_batch_ends_once_it_has_enough_bytes() {
        let queue = queue(10, 100);
        for text in ["aaa", "bbb", "ccc"] {
            queue.push(frame(text)).unwrap();
        }
        assert_eq!(queue.next_batch(8, 4).await.unwrap(), ["aaa", "bbb"]);
        assert_eq!(queue.next_batch(8, 1).await.unwrap(), ["ccc"]);
    }

    #[test]
    fn what_waits_counts_for_all_until_somebody_is_done_with_it() {
        let unsent = UnsentBytes::default();
        let all = [queue(10, 100), queue(10, 100)].map(|queue| queue.counted_in(unsent.clone()));
        for (queue, text) in all.iter().zip(["aaa", "bbbbb"]) {
            queue.push(frame(text)).unwrap();
        }
        assert_eq!(unsent.bytes(), 8);
        let [first, second] = all;
        let _ = first.pop();
        assert_eq!(unsent.bytes(), 5);
        drop(second);
        assert_eq!(unsent.bytes(), 0);
    }

    #[tokio::test]
    async fn a_producer_waits_for_room() {
        let queue = Arc::new(queue(1, 100));
        queue.push(frame("a")).unwrap();
        let shared = Arc::clone(&queue);
        let producer = tokio::spawn(async move { shared.push_when_room(frame("b")).await });
        tokio::task::yield_now().await;
        assert!(!producer.is_finished());
        assert_eq!(queue.next().await, frame("a"));
        producer.await.unwrap();
        assert_eq!(queue.next().await, frame("b"));
    }

    #[tokio::test]
    async fn the_end_comes_after_the_last_frame() {
        let queue = queue(4, 100);
        let end = CloseReason::new(CloseCode::MatchOver, "over", Side::Us);
        queue.push(frame("last")).unwrap();
        queue.end(end.clone());
        assert_eq!(queue.push(frame("later")), Err(Rejected::Ended));
        assert_eq!(queue.next_batch(8, 100).await, Ok(vec![frame("last")]));
        assert_eq!(queue.next_batch(8, 100).await, Err(end.clone()));
        assert_eq!(queue.wait_ended().await, end);
    }
}
