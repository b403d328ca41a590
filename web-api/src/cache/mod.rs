//! The volatile store: leases, counters, the registry of instances, and messages between replicas,
//! in Redis or in memory.
//! Everything here can be lost and rebuilt.

mod memory;
mod redis_server;
mod subscription;

#[cfg(test)]
mod contract_tests;

use std::time::Duration;

use gameserver_contract::clock::SharedClock;

use self::memory::Memory;
use self::redis_server::RedisServer;
pub(crate) use self::subscription::{Heard, Subscription};

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

    /// One cheap round trip, for readiness.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time.
    pub async fn ping(&self) -> Result<(), CacheError> {
        match &self.adapter {
            Adapter::Memory(_) => Ok(()),
            Adapter::Redis(server) => server.ping().await.map_err(CacheError::Redis),
        }
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

    /// All live (key, value) pairs whose key starts with `prefix`, sorted by key, at most `limit`.
    /// In Redis it walks the whole key space, so it is for short lists that change rarely; a pair
    /// that ends meanwhile is left out.
    ///
    /// # Errors
    ///
    /// [`CacheError::Redis`] when the server does not answer in time.
    pub async fn scan(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, CacheError> {
        match &self.adapter {
            Adapter::Memory(memory) => Ok(memory.scan(prefix, limit)),
            Adapter::Redis(server) => server.scan(prefix, limit).await.map_err(CacheError::Redis),
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
