//! The volatile store: leases, counters and the registry of instances in Redis or in memory.
//! Everything here can be lost and rebuilt.

use std::time::Duration;

/// Handle to the cache; cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {}

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
    pub allowed: bool,
    pub limit: u32,
    pub remaining: u32,
    /// Until the window ends.
    pub reset: Duration,
}

#[expect(unused_variables, clippy::unused_async, reason = "signatures only")]
impl Cache {
    /// In-memory cache of this process with at most `entries_max` entries.
    pub fn memory(clock: gameserver_contract::clock::SharedClock, entries_max: usize) -> Self { unimplemented!() }
    /// Redis at `redis://…` or `rediss://…`, every key under `prefix`.
    pub async fn redis(url: &str, prefix: &str) -> Result<Self, CacheError> { unimplemented!() }
    pub async fn ping(&self) -> Result<(), CacheError> { unimplemented!() }
    /// Sets a value that ends after `lifetime`.
    pub async fn put(&self, key: &str, value: &[u8], lifetime: Duration) -> Result<(), CacheError> { unimplemented!() }
    /// Sets a value only where none is; true when it was set (leases, single use).
    pub async fn put_if_absent(&self, key: &str, value: &[u8], lifetime: Duration) -> Result<bool, CacheError> { unimplemented!() }
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, CacheError> { unimplemented!() }
    pub async fn remove(&self, key: &str) -> Result<(), CacheError> { unimplemented!() }
    /// All live (key, value) pairs whose key starts with `prefix`, sorted by key, at most `limit`.
    pub async fn scan(&self, prefix: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, CacheError> { unimplemented!() }
    /// Counts one request against `limit` per `window` (fixed window, atomic).
    pub async fn count(&self, key: &str, limit: u32, window: Duration) -> Result<RateDecision, CacheError> { unimplemented!() }
}
