//! Tests of the whole service.

use gameserver_contract::game::{GameDescriptor, GameMode, NetcodeModel};
use gameserver_contract::ids::GameId;

/// A game for tests: modes `ffa` (2–16 players, default 4) and `team`.
pub(crate) fn arena_descriptor() -> GameDescriptor {
    let mode = |id: &str| GameMode {
        id: id.to_owned(),
        players_min: 2,
        players_default: 4,
        players_max: 16,
    };
    GameDescriptor {
        id: GameId::new("arena").unwrap(),
        name: "Arena".to_owned(),
        tick_rate_hz: 60,
        snapshot_rate_hz: 20,
        netcode: NetcodeModel::StateReplication,
        modes: vec![mode("ffa"), mode("team")],
    }
}
