//! The cache in the memory of this process, for one replica and for tests. It waits for nobody and
//! forgets by the clock it is given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gameserver_contract::clock::SharedClock;
use tokio::sync::broadcast;

use crate::kit::cache::subscription::{MESSAGES_QUEUED_MAX, Queued, Subscription};
use crate::kit::cache::{CacheError, RateDecision, listed_key};

/// Values and counters that many tasks share.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    clock: SharedClock,
    entries_max: usize,
    table: Arc<Mutex<Table>>,
    /// By name. The names are constants of this program, so they are few.
    channels: Arc<Mutex<HashMap<String, broadcast::Sender<Queued>>>>,
}

impl Memory {
    pub(crate) fn new(clock: SharedClock, entries_max: usize) -> Self {
        Self {
            clock,
            entries_max,
            table: Arc::default(),
            channels: Arc::default(),
        }
    }

    pub(crate) fn put(
        &self,
        key: &str,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<(), CacheError> {
        let now_ms = self.clock.now_ms();
        let content = Content::Value(value.to_vec());
        self.lock(now_ms).set(
            value_key(key),
            end(now_ms, lifetime),
            content,
            self.entries_max,
        )
    }

    pub(crate) fn put_if_absent(
        &self,
        key: &str,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<bool, CacheError> {
        let now_ms = self.clock.now_ms();
        let mut table = self.lock(now_ms);
        let key = value_key(key);
        if table.entries.contains_key(&key) {
            return Ok(false);
        }
        let content = Content::Value(value.to_vec());
        table
            .set(key, end(now_ms, lifetime), content, self.entries_max)
            .map(|()| true)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let table = self.lock(self.clock.now_ms());
        table
            .entries
            .get(&value_key(key))
            .and_then(Entry::value)
            .map(<[u8]>::to_vec)
    }

    /// True when so much is remembered that hints must leave the rest to what has no other place.
    pub(crate) fn is_half_full(&self) -> bool {
        let table = self.lock(self.clock.now_ms());
        table.entries.len() >= self.entries_max / 2
    }

    pub(crate) fn remove(&self, key: &str) {
        self.lock(self.clock.now_ms()).remove(&value_key(key));
    }

    pub(crate) fn listed(&self, list: &str, limit: usize) -> Vec<(String, Vec<u8>)> {
        let table = self.lock(self.clock.now_ms());
        let prefix = listed_key(list, "");
        let from_prefix = table.entries.range(value_key(&prefix)..);
        from_prefix
            .map_while(|((kind, key), entry)| match kind {
                Kind::Value => Some((key.strip_prefix(&prefix)?, entry)),
                Kind::Counter => None,
            })
            .filter_map(|(member, entry)| Some((member.to_owned(), entry.value()?.to_vec())))
            .take(limit)
            .collect()
    }

    pub(crate) fn count(
        &self,
        key: &str,
        limit: u32,
        window: Duration,
    ) -> Result<RateDecision, CacheError> {
        let now_ms = self.clock.now_ms();
        let mut table = self.lock(now_ms);
        let key = (Kind::Counter, key.to_owned());
        let (count, end_ms) = if let Some(entry) = table.entries.get_mut(&key) {
            (entry.count_up(), entry.end_ms)
        } else {
            let end_ms = end(now_ms, window);
            table.set(key, end_ms, Content::Counter(1), self.entries_max)?;
            (1, end_ms)
        };
        let reset_ms = u64::try_from(end_ms.saturating_sub(now_ms)).unwrap_or(0);
        Ok(RateDecision::of(
            count,
            limit,
            Duration::from_millis(reset_ms),
        ))
    }

    pub(crate) fn publish(&self, channel: &str, message: &[u8]) {
        if let Some(sender) = self.lock_channels().get(channel) {
            // An error says that nobody listens.
            let _ = sender.send(Some(message.into()));
        }
    }

    pub(crate) fn subscribe(&self, channel: &str) -> Subscription {
        let mut channels = self.lock_channels();
        let sender = channels
            .entry(channel.to_owned())
            .or_insert_with(|| broadcast::Sender::new(MESSAGES_QUEUED_MAX));
        Subscription::local(sender.subscribe())
    }

    fn lock_channels(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<Queued>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody sees an entry that has ended, because every look at the table clears them first.
    fn lock(&self, now_ms: i64) -> MutexGuard<'_, Table> {
        // Every change of the table is complete before it can panic.
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.drop_ended(now_ms);
        table
    }
}

/// What is remembered, by name and by end.
#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<Key, Entry>,
    by_end: BTreeSet<(i64, Key)>,
}

type Key = (Kind, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Counter,
    Value,
}

#[derive(Debug)]
struct Entry {
    end_ms: i64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Counter(u64),
    Value(Vec<u8>),
}

impl Table {
    fn set(
        &mut self,
        key: Key,
        end_ms: i64,
        content: Content,
        entries_max: usize,
    ) -> Result<(), CacheError> {
        self.remove(&key);
        if self.entries.len() >= entries_max {
            return Err(CacheError::Full(entries_max));
        }
        self.by_end.insert((end_ms, key.clone()));
        self.entries.insert(key, Entry { end_ms, content });
        Ok(())
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_end.remove(&(entry.end_ms, key.clone()));
        }
    }

    fn drop_ended(&mut self, now_ms: i64) {
        while let Some((end_ms, _)) = self.by_end.first()
            && *end_ms <= now_ms
            && let Some((_, key)) = self.by_end.pop_first()
        {
            self.entries.remove(&key);
        }
    }
}

impl Entry {
    fn value(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Value(value) => Some(value),
            Content::Counter(_) => None,
        }
    }

    fn count_up(&mut self) -> u64 {
        match &mut self.content {
            Content::Counter(count) => {
                *count = count.saturating_add(1);
                *count
            }
            Content::Value(_) => 0,
        }
    }
}

fn value_key(key: &str) -> Key {
    (Kind::Value, key.to_owned())
}

fn end(now_ms: i64, lifetime: Duration) -> i64 {
    // A millisecond at least, like in Redis, so that what is put can be read.
    let lifetime_ms = i64::try_from(lifetime.as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    now_ms.saturating_add(lifetime_ms)
}
