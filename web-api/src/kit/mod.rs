//! What every capability needs, and nothing of any of them.
//!
//! It names no player's account, session, match or instance beyond their ids; capabilities use it,
//! and it uses none of them.

pub(crate) mod cache;
pub(crate) mod cursor;
pub(crate) mod db;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod idempotency;
pub(crate) mod rate;
pub(crate) mod readiness;
pub(crate) mod tasks;
pub(crate) mod text;
pub(crate) mod topic;

use chrono::{DateTime, Utc};
use gameserver_contract::clock::SharedClock;
use gameserver_contract::entropy::SharedEntropy;
use sha2::Digest as _;

use self::cache::Cache;
use self::cursor::Cursors;
use self::db::Db;
use self::rate::Rates;
use self::tasks::Tasks;
use crate::config::SecretKey;

/// The parts that a capability is made from; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Kit {
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) db: Db,
    pub(crate) cache: Cache,
    pub(crate) rates: Rates,
    pub(crate) cursors: Cursors,
    pub(crate) tasks: Tasks,
}

impl Kit {
    /// The parts on this database and this cache. `key` is the one that cursors are made with.
    pub(crate) fn new(
        (clock, entropy): (SharedClock, SharedEntropy),
        db: Db,
        cache: Cache,
        key: &SecretKey,
    ) -> Self {
        Self {
            // Derived, so that all replicas count in the same buckets.
            rates: Rates::new(cache.clone(), sha2::Sha256::digest(key.bytes()).into()),
            cursors: Cursors::new(key.clone()),
            tasks: Tasks::default(),
            clock,
            entropy,
            db,
            cache,
        }
    }

    /// The current time, cut to the milliseconds that the database and tickets keep.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.clock.now_ms()).unwrap_or_default()
    }
}
