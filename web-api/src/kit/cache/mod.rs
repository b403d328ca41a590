//! The volatile store: leases, counters, the registry of instances, and messages between replicas,
//! in Redis or in memory.
//! Everything here can be lost and rebuilt.

mod key;
mod memory;
mod redis_server;
mod subscription;

#[cfg(test)]
mod contract_tests;

use std::time::Duration;

use gameserver_contract::clock::SharedClock;

pub(crate) use crate::kit::cache::key::Key;
use crate::kit::cache::memory::Memory;
use crate::kit::cache::redis_server::RedisServer;
pub(crate) use crate::kit::cache::subscription::{Heard, Subscription};
use crate::kit::fault::Fault;

/// What [`Cache::check_write`] sets.
const WRITE_CHECK_KEY: &str = "write-check";
const WRITE_CHECK_LIFETIME: Duration = Duration::from_secs(10);

/// Handle to the cache; cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    adapter: Adapter,
}

#[derive(Debug, Clone)]
enum Adapter {
    Memory(Memory),
    Redis(RedisServer),
}

/// Why the cache could not answer.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No connection, a timeout, or a refused command.
    #[error("reach Redis")]
    Redis(#[source] redis::RedisError),
    /// The in-memory cache holds its maximum of entries and none has expired.
    #[error("remember more than {0} entries in memory")]
    Full(usize),
}

impl CacheError {
    /// What is wrong with the cache.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Redis(error) => redis_server::fault(error),
            Self::Full(_) => Fault::Full,
        }
    }
}

/// Whether a rate limit lets a request pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateDecision {
    /// True for the first `limit` requests of a window.
    pub allowed: bool,
    /// Requests per window.
    pub limit: u32,
    /// Requests that would still pass in this window.
    pub remaining: u32,
    /// Until the window ends.
    pub reset: Duration,
}

impl RateDecision {
    /// Judges the `count`-th request of a window.
    fn of(count: u64, limit: u32, reset: Duration) -> Self {
        let left = u64::from(limit).saturating_sub(count);
        Self {
            allowed: count <= u64::from(limit),
            limit,
            remaining: u32::try_from(left).unwrap_or(limit),
            reset,
        }
    }
}

/// Values and counters of one name do not meet: `count("a", …)` never changes what `get("a")` says.
impl Cache {
    /// In-memory cache of this process with at most `entries_max` entries.
    #[must_use]
    pub fn memory(clock: SharedClock, entries_max: usize) -> Self {
        Self {
            adapter: Adapter::Memory(Memory::new(clock, entries_max)),
        }
    }

    /// Redis at `redis://…` or `rediss://…`, every key under `prefix`.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the URL is none or the server does not answer in time.
    pub async fn redis(url: &str, prefix: &str) -> Result<Self, CacheError> {
        let server = RedisServer::connect(url, prefix)
            .await
            .map_err(CacheError::Redis)?;
        Ok(Self {
            adapter: Adapter::Redis(server),
        })
    }

    /// Writes a value, in one round trip: a cache may answer reads and refuse writes.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache takes no writes or does not answer in time.
    pub async fn check_write(&self) -> Result<(), CacheError> {
        self.put(WRITE_CHECK_KEY, &[], WRITE_CHECK_LIFETIME).await
    }

    /// Sets a value that ends after `lifetime`.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache is full or does not answer in time.
    pub async fn put(&self, key: &str, value: &[u8], lifetime: Duration) -> Result<(), CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => memory.put(key, value, lifetime),
            Adapter::Redis(server) => server
                .put(key, value, lifetime)
                .await
                .map_err(CacheError::Redis),
        }
    }

    /// Sets a value only where none is; true when it was set (leases, single use).
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache is full or does not answer in time; the value may be set then.
    pub async fn put_if_absent(
        &self,
        key: &str,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<bool, CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => memory.put_if_absent(key, value, lifetime),
            Adapter::Redis(server) => server
                .put_if_absent(key, value, lifetime)
                .await
                .map_err(CacheError::Redis),
        }
    }

    /// Sets a value only where none is, unless memory is scarce: for what can be looked up
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time or takes no writes.
    pub(crate) async fn put_hint(
        &self,
        key: &str,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<(), CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) if memory.is_half_full() => Ok(()),
            Adapter::Memory(_) | Adapter::Redis(_) => {
                self.put_if_absent(key, value, lifetime).await.map(drop)
            }
        }
    }

    /// The value of that key, unless it has ended.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => Ok(memory.get(key)),
            Adapter::Redis(server) => server.get(key).await.map_err(CacheError::Redis),
        }
    }

    /// Forgets a value; an unknown key changes nothing.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time.
    pub async fn remove(&self, key: &str) -> Result<(), CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => {
                memory.remove(key);
                Ok(())
            }
            Adapter::Redis(server) => server.remove(key).await.map_err(CacheError::Redis),
        }
    }

    /// Sets a value like [`Cache::put`], under the key `list:member`, and lists it. All members of
    /// a list have the same lifetime.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache is full or does not answer in time.
    pub(crate) async fn put_listed(
        &self,
        (list, member): (&str, &str),
        value: &[u8],
        lifetime: Duration,
    ) -> Result<(), CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => memory.put(&listed_key(list, member), value, lifetime),
            Adapter::Redis(server) => server
                .put_listed((list, member), value, lifetime)
                .await
                .map_err(CacheError::Redis),
        }
    }

    /// The live members of a list with their values, sorted by name, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time.
    pub(crate) async fn listed(
        &self,
        list: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => Ok(memory.listed(list, limit)),
            Adapter::Redis(server) => server.listed(list, limit).await.map_err(CacheError::Redis),
        }
    }

    /// Counts one request against `limit` per `window` (fixed window, atomic). The window begins
    /// with its first request.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache is full or does not answer in time.
    pub async fn count(
        &self,
        key: &str,
        limit: u32,
        window: Duration,
    ) -> Result<RateDecision, CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => memory.count(key, limit, window),
            Adapter::Redis(server) => server
                .count(key, limit, window)
                .await
                .map_err(CacheError::Redis),
        }
    }

    /// Reads the value of `key` and counts one request as [`Cache::count`] does, in one round trip.
    /// Where the value is `stop`, nothing is counted, and there is no decision.
    ///
    /// # Errors
    ///
    /// [`CacheError`] when the cache is full or does not answer in time.
    pub(crate) async fn count_unless(
        &self,
        (key, stop): (&str, &[u8]),
        counter: &str,
        limit: u32,
        window: Duration,
    ) -> Result<(Option<Vec<u8>>, Option<RateDecision>), CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => {
                let value = memory.get(key);
                if value.as_deref() == Some(stop) {
                    return Ok((value, None));
                }
                memory
                    .count(counter, limit, window)
                    .map(|decision| (value, Some(decision)))
            }
            Adapter::Redis(server) => server
                .count_unless((key, stop), counter, limit, window)
                .await
                .map_err(CacheError::Redis),
        }
    }

    /// Sends a message to everybody who listens to that channel now, in every replica.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time; the message is lost then.
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<(), CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => {
                memory.publish(channel, message);
                Ok(())
            }
            Adapter::Redis(server) => server
                .publish(channel, message)
                .await
                .map_err(CacheError::Redis),
        }
    }

    /// Listens to a channel from now on. A lost connection is opened again; the listener is told
    /// that there was a gap.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<Subscription, CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => Ok(memory.subscribe(channel)),
            Adapter::Redis(server) => server.subscribe(channel).await.map_err(CacheError::Redis),
        }
    }
}

/// Where a member of a list stands.
fn listed_key(list: &str, member: &str) -> String {
    format!("{list}:{member}")
}
