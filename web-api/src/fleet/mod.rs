//! The instances that can host matches now: a registry of leases in the cache, the choice among
//! them, and calls to their control service.
//!
//! It knows no sessions and no players' rights. Everything here can be lost: every instance
//! registers again within a heartbeat.

pub(crate) mod choice;
pub(crate) mod control;
mod instance;

use gameserver_contract::ids::{GameId, InstanceId, MatchId};

use crate::cache::{Cache, CacheError};
use crate::config::{GAME_KNOWN, INSTANCE_LEASE, INSTANCES_MAX, REPORTED_MATCHES_MAX};
pub(crate) use instance::{InstanceRecord, Load, Refuses};

/// How long an instance is told again to stop a match that it still reports.
const STOP_WISH_LIFETIME: std::time::Duration = std::time::Duration::from_mins(1);

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

    /// Remembers that an instance of this deployment hosts these games.
    pub(crate) async fn remember_games(&self, instance: &InstanceRecord) -> Result<(), CacheError> {
        for game in &instance.games {
            self.cache.put(&game_key(&game.id), &[], GAME_KNOWN).await?;
        }
        Ok(())
    }

    /// True when some instance has hosted this game lately.
    pub(crate) async fn knows_game(&self, game: &GameId) -> Result<bool, CacheError> {
        Ok(self.cache.get(&game_key(game)).await?.is_some())
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

    /// Asks that an instance stops a match even when the call to it is lost.
    pub(crate) async fn wish_stop(
        &self,
        instance: InstanceId,
        id: MatchId,
    ) -> Result<(), CacheError> {
        self.cache
            .put(&stop_key(instance, id), &[], STOP_WISH_LIFETIME)
            .await
    }

    /// The matches that an instance was asked to stop lately.
    pub(crate) async fn stop_wishes(
        &self,
        instance: InstanceId,
    ) -> Result<Vec<MatchId>, CacheError> {
        let prefix = format!("stop:{instance}:");
        let entries = self.cache.scan(&prefix, REPORTED_MATCHES_MAX).await?;
        let match_id = |key: &str| key.rsplit(':').next().and_then(|id| id.parse().ok());
        Ok(entries
            .iter()
            .filter_map(|(key, _)| match_id(key))
            .collect())
    }
}

fn instance_key(id: InstanceId) -> String {
    format!("instance:{id}")
}

fn game_key(game: &GameId) -> String {
    format!("game:{game}")
}

fn stop_key(instance: InstanceId, id: MatchId) -> String {
    format!("stop:{instance}:{id}")
}
