//! What the registry keeps of an instance: where it is, what it can host, how busy it is.

use std::collections::BTreeMap;

use gameserver_contract::game::{GameDescriptor, GameMode};
use gameserver_contract::ids::{GameId, InstanceEpoch, InstanceId, MatchId};
use gameserver_contract::session::{Role, TransportOffer};
use serde::{Deserialize, Serialize};

/// One run of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InstanceRecord {
    pub(crate) id: InstanceId,
    pub(crate) epoch: InstanceEpoch,
    pub(crate) region: String,
    pub(crate) build: String,
    /// Where its `InstanceControl` service is reached.
    pub(crate) control_url: String,
    /// In the order that clients should try.
    pub(crate) transports: Vec<TransportOffer>,
    pub(crate) matches_max: u32,
    pub(crate) players_max: u32,
    pub(crate) games: Vec<GameDescriptor>,
    /// What the newest heartbeat said.
    pub(crate) load: Load,
    /// Matches that do not admit everybody, by the newest heartbeat.
    #[serde(default)]
    pub(crate) refusing: BTreeMap<MatchId, Refuses>,
}

/// Whom a match has no time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refuses {
    Spectators,
    Everybody,
}

/// How busy an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Number of the heartbeat; an older one is ignored.
    pub(crate) sequence: u64,
    /// It takes no new match.
    pub(crate) draining: bool,
    /// Share of the tick budget in use by the busiest worker.
    pub(crate) tick_budget_used: f32,
    pub(crate) matches: u32,
    pub(crate) players: u32,
}

impl InstanceRecord {
    /// The game's mode of that name (the first one for `None`), when this instance hosts it.
    pub(crate) fn mode(&self, game: &GameId, mode: Option<&str>) -> Option<&GameMode> {
        self.games
            .iter()
            .find(|hosted| hosted.id == *game)?
            .mode(mode)
    }

    /// True when the match has no time for somebody new in this role.
    pub(crate) fn refuses(&self, id: MatchId, role: Role) -> bool {
        match self.refusing.get(&id) {
            Some(Refuses::Everybody) => true,
            Some(Refuses::Spectators) => role == Role::Spectator,
            None => false,
        }
    }

    /// True when it hosts the game in any mode.
    pub(crate) fn hosts(&self, game: &GameId) -> bool {
        self.games.iter().any(|hosted| hosted.id == *game)
    }

    /// The form that the cache keeps.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("a record is plain data")
    }

    /// Reads what the cache kept. An entry of another build that cannot be read counts as absent:
    /// the instance registers again.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }
}
