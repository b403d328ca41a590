//! The instances that can host matches now: a registry of leases in the cache, the choice among
//! them, and calls to their control service.
//!
//! It knows no sessions and no players' rights. A lease ends when its instance is silent, never
//! because the cache is: what this replica heard counts whatever the cache says, and a lease that
//! the cache does not take is kept in the database, where the other replicas look before they take
//! an instance for lost.

pub(crate) mod api;
pub(crate) mod control;
pub(crate) mod error;
pub(crate) mod games;
mod heard;
mod instance;
pub(crate) mod placement;
pub(crate) mod report;
pub(crate) mod store;

use std::time::Duration;

use gameserver_contract::ids::{GameId, InstanceEpoch, InstanceId};
use gameserver_control::secret::ControlSecret;
pub(crate) use instance::{InstanceRecord, Load, Refuses};
use tokio::sync::{Mutex, MutexGuard};

use self::control::ControlClients;
use self::games::HostedGames;
use self::store::FleetStore;
use crate::config::{INSTANCE_LEASE, INSTANCE_LOST_GRACE, INSTANCES_MAX};
use crate::fleet::heard::Heard;
use crate::kit::Kit;
use crate::kit::cache::CacheError;
use crate::kit::db::DbError;

/// The list of the cache that leases stand in.
const LIST: &str = "instance";

/// The registry of instances.
#[derive(Debug)]
pub(crate) struct Fleet {
    kit: Kit,
    store: FleetStore,
    heard: Heard,
    /// Calls instances.
    pub(crate) control: ControlClients,
    order: [Mutex<()>; 16],
    hosted_games: HostedGames,
    known_games: Vec<GameId>,
}

impl Fleet {
    /// Keeps the registry in the cache, and in the database while the cache takes nothing. Games
    /// of `known_games` are known before any instance hosts them.
    pub(crate) fn new(kit: &Kit, secret: ControlSecret, known_games: Vec<GameId>) -> Self {
        Self {
            kit: kit.clone(),
            store: FleetStore(kit.db.clone()),
            heard: Heard::default(),
            control: ControlClients::new(secret),
            order: Default::default(),
            hosted_games: HostedGames::default(),
            known_games,
        }
    }

    /// Lets one report of an instance at a time be written. Instances share the locks by their id;
    /// a replica that does not learn of another's work loses at most one interval, because every
    /// heartbeat carries the whole state.
    pub(crate) async fn turn(&self, id: InstanceId) -> MutexGuard<'_, ()> {
        self.order[usize::from(id.0.as_bytes()[15] % 16)]
            .lock()
            .await
    }

    /// Enters a run of an instance that has begun, and remembers its games for good.
    pub(crate) async fn enter(&self, instance: &InstanceRecord) -> Result<(), DbError> {
        let games: Vec<GameId> = instance.games.iter().map(|game| game.id.clone()).collect();
        self.store.remember_games(&games, self.kit.now()).await?;
        self.renew(instance).await?;
        // Whoever waited for this instance may play at once.
        self.hosted_games.forget().await;
        Ok(())
    }

    /// True for a game that is configured here, or that some instance has ever hosted.
    pub(crate) async fn knows_game(&self, game: &GameId) -> Result<bool, DbError> {
        Ok(self.known_games.contains(game) || self.store.knows_game(game).await?)
    }

    /// An instance that neither the cache nor this replica knows is to register: that works
    /// without the cache.
    pub(crate) async fn known_instance(&self, id: InstanceId) -> Option<InstanceRecord> {
        self.instance(id).await.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error, instance.id = %id,
                "an instance is not looked up in the cache"
            );
            None
        })
    }

    /// Deletes leases that have ended.
    pub(crate) async fn sweep(&self) -> Result<(), DbError> {
        self.store.sweep(self.kit.now()).await
    }

    /// Enters an instance, or renews its lease with its newest numbers.
    pub(crate) async fn renew(&self, instance: &InstanceRecord) -> Result<(), DbError> {
        self.heard.note(instance, self.kit.now());
        let member = instance.id.to_string();
        let put = self
            .kit
            .cache
            .put_listed((LIST, &member), &instance.to_bytes(), INSTANCE_LEASE)
            .await;
        let Err(error) = put else { return Ok(()) };
        tracing::warn!(
            error = &error as &dyn std::error::Error, instance.id = %instance.id,
            "the cache did not take a lease; the database keeps it"
        );
        let until = self.kit.now() + KEPT_LEASE;
        self.store
            .keep_lease(instance.id, instance.epoch, until)
            .await
    }

    /// True when this replica has received a newer report of the same run.
    pub(crate) fn is_overtaken(&self, instance: &InstanceRecord) -> bool {
        let newest = self.heard.instance(instance.id, self.kit.now());
        newest.is_some_and(|newest| {
            newest.epoch == instance.epoch && newest.load.sequence > instance.load.sequence
        })
    }

    /// The instance of this id while its lease lives.
    pub(crate) async fn instance(
        &self,
        id: InstanceId,
    ) -> Result<Option<InstanceRecord>, CacheError> {
        let heard = self.heard.instance(id, self.kit.now());
        let cached = self.kit.cache.get(&instance_key(id)).await;
        let cached = cached.map(|bytes| bytes.and_then(|bytes| InstanceRecord::from_bytes(&bytes)));
        match (cached, heard) {
            (Ok(Some(cached)), heard) => Ok(Some(newer(cached, heard))),
            (Ok(None) | Err(_), Some(heard)) => Ok(Some(heard)),
            (Ok(None), None) => Ok(None),
            (Err(error), None) => Err(error),
        }
    }

    /// The instance, when it called this replica a moment ago. It costs no round trip.
    pub(crate) fn heard_lately(&self, id: InstanceId) -> Option<InstanceRecord> {
        self.heard.lately(id, self.kit.now())
    }

    /// The run of an instance whose lease the database keeps, because the cache did not take it.
    pub(crate) async fn kept_lease(
        &self,
        id: InstanceId,
    ) -> Result<Option<InstanceEpoch>, DbError> {
        self.store.kept_lease(id, self.kit.now()).await
    }

    /// All instances whose lease lives, sorted by id.
    pub(crate) async fn instances(&self) -> Result<Vec<InstanceRecord>, CacheError> {
        let mut heard = self.heard.instances(self.kit.now());
        let entries = match self.kit.cache.listed(LIST, INSTANCES_MAX).await {
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
