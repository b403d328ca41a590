//! The instances that can host matches now: a registry of leases in the cache, the choice among
//! them, and calls to their control service.
//!
//! It knows no sessions and no players' rights. Everything here can be lost: every instance
//! registers again within a heartbeat.

pub(crate) mod choice;
pub(crate) mod control;
mod instance;

use gameserver_contract::ids::InstanceId;

use crate::cache::{Cache, CacheError};
use crate::config::{INSTANCE_LEASE, INSTANCES_MAX};
pub(crate) use instance::{InstanceRecord, Load, Refuses};

/// The registry of instances.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    cache: Cache,
}

impl Fleet {
    /// Keeps the registry in this cache.
    pub(crate) fn new(cache: Cache) -> Self {
        Self { cache }
    }

    /// Enters an instance, or renews its lease with its newest numbers.
    pub(crate) async fn renew(&self, instance: &InstanceRecord) -> Result<(), CacheError> {
        let key = instance_key(instance.id);
        self.cache
            .put(&key, &instance.to_bytes(), INSTANCE_LEASE)
            .await
    }

    /// The instance of this id while its lease lives.
    pub(crate) async fn instance(
        &self,
        id: InstanceId,
    ) -> Result<Option<InstanceRecord>, CacheError> {
        let bytes = self.cache.get(&instance_key(id)).await?;
        Ok(bytes.and_then(|bytes| InstanceRecord::from_bytes(&bytes)))
    }

    /// All instances whose lease lives, sorted by id.
    pub(crate) async fn instances(&self) -> Result<Vec<InstanceRecord>, CacheError> {
        let entries = self.cache.scan("instance:", INSTANCES_MAX).await?;
        Ok(entries
            .iter()
            .filter_map(|(_, bytes)| InstanceRecord::from_bytes(bytes))
            .collect())
    }
}

fn instance_key(id: InstanceId) -> String {
    format!("instance:{id}")
}
