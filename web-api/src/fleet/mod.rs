//! The instances that can host matches now: a registry of leases in the cache, the choice among
//! them, and calls to their control service.
//!
//! It knows no sessions and no players' rights. A lease ends when its instance is silent, never
//! because the cache is: what this replica heard counts whatever the cache says, and a lease that
//! the cache does not take is kept in the database, where the other replicas look before they take
//! an instance for lost.

pub(crate) mod api;
pub(crate) mod control;
pub(crate) mod games;
mod heard;
mod instance;
pub(crate) mod placement;
pub(crate) mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use gameserver_contract::clock::SharedClock;
use gameserver_contract::ids::{InstanceEpoch, InstanceId};

use crate::config::{INSTANCE_LEASE, INSTANCE_LOST_GRACE, INSTANCES_MAX};
use crate::fleet::heard::Heard;
use crate::kit::cache::{Cache, CacheError};
use crate::kit::db::{Store, StoreError};
pub(crate) use instance::{InstanceRecord, Load, Refuses};

/// The list of the cache that leases stand in.
const LIST: &str = "instance";

/// The registry of instances.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    cache: Cache,
    store: Store,
    clock: SharedClock,
    heard: Heard,
}

impl Fleet {
    /// Keeps the registry in this cache, and in this store while the cache takes nothing.
    pub(crate) fn new(cache: Cache, store: Store, clock: SharedClock) -> Self {
        Self {
            cache,
            store,
            clock,
            heard: Heard::default(),
        }
    }

    /// Enters an instance, or renews its lease with its newest numbers.
    pub(crate) async fn renew(&self, instance: &InstanceRecord) -> Result<(), StoreError> {
        self.heard.note(instance, self.now());
        let member = instance.id.to_string();
        let put = self
            .cache
            .put_listed((LIST, &member), &instance.to_bytes(), INSTANCE_LEASE)
            .await;
        let Err(error) = put else { return Ok(()) };
        tracing::warn!(
            error = &error as &dyn std::error::Error, instance.id = %instance.id,
            "the cache did not take a lease; the database keeps it"
        );
        let until = self.now() + KEPT_LEASE;
        self.store
            .keep_lease(instance.id, instance.epoch, until)
            .await
    }

    /// The instance of this id while its lease lives.
    pub(crate) async fn instance(
        &self,
        id: InstanceId,
    ) -> Result<Option<InstanceRecord>, CacheError> {
        let heard = self.heard.instance(id, self.now());
        let cached = self.cache.get(&instance_key(id)).await;
        let cached = cached.map(|bytes| bytes.and_then(|bytes| InstanceRecord::from_bytes(&bytes)));
        match (cached, heard) {
            (Ok(Some(cached)), heard) => Ok(Some(newer(cached, heard))),
            (Ok(None) | Err(_), Some(heard)) => Ok(Some(heard)),
            (Ok(None), None) => Ok(None),
            (Err(error), None) => Err(error),
        }
    }

    /// The run of an instance whose lease the database keeps, because the cache did not take it.
    pub(crate) async fn kept_lease(
        &self,
        id: InstanceId,
    ) -> Result<Option<InstanceEpoch>, StoreError> {
        self.store.kept_lease(id, self.now()).await
    }

    /// All instances whose lease lives, sorted by id.
    pub(crate) async fn instances(&self) -> Result<Vec<InstanceRecord>, CacheError> {
        let mut heard = self.heard.instances(self.now());
        let entries = match self.cache.listed(LIST, INSTANCES_MAX).await {
            Ok(entries) => entries,
            Err(error) if heard.is_empty() => return Err(error),
            Err(_) => Vec::new(),
        };
        for (_, bytes) in &entries {
            let Some(cached) = InstanceRecord::from_bytes(bytes) else {
                continue;
            };
            let known = heard.remove(&cached.id);
            heard.insert(cached.id, newer(cached, known));
        }
        Ok(heard.into_values().collect())
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// How long a lease in the database lasts. It is longer than one in the cache, because it must
/// cover the time after an outage until an instance is heard of in the cache again.
const KEPT_LEASE: Duration = INSTANCE_LEASE.saturating_add(INSTANCE_LOST_GRACE);

/// The cache says which run of an instance counts. Of the same run this replica may have heard
/// something newer than what the cache took.
fn newer(cached: InstanceRecord, heard: Option<InstanceRecord>) -> InstanceRecord {
    match heard {
        Some(heard)
            if heard.epoch == cached.epoch && heard.load.sequence > cached.load.sequence =>
        {
            heard
        }
        _ => cached,
    }
}

fn instance_key(id: InstanceId) -> String {
    format!("{LIST}:{id}")
}
