//! Facts about a game that the lobby needs as well as the simulation.

use serde::{Deserialize, Serialize};

use crate::ids::GameId;

/// What web-api and instances must both know of a game. It stands in the `[game]` table of
/// `assets/games/<id>/game.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GameDescriptor {
    /// Short name, unique in a deployment.
    pub id: GameId,
    /// Name for people.
    pub name: String,
    /// Simulation steps per second, 20–128.
    pub tick_rate_hz: u16,
    /// State updates to clients per second, at most the tick rate.
    pub snapshot_rate_hz: u16,
    /// How clients keep up with the server.
    pub netcode: NetcodeModel,
    /// The ways to play it; the first is the default.
    pub modes: Vec<GameMode>,
}

/// How clients keep up with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NetcodeModel {
    /// The server sends state; the own player is predicted, the others are interpolated.
    StateReplication,
    /// Everybody simulates everything from the same inputs and rolls back late ones.
    DeterministicRollback,
}

/// One way to play a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GameMode {
    /// Short name, unique in the game, for example `ffa`.
    pub id: String,
    /// Players that must be seated before the match starts.
    pub players_min: u16,
    /// Seats when the host does not ask for fewer or more.
    pub players_default: u16,
    /// Most seats a host may ask for.
    pub players_max: u16,
}

/// A descriptor that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// The tick rate is outside 20–128 Hz.
    #[error("tick_rate_hz must be 20 to 128, got {0}")]
    TickRate(u16),
    /// More snapshots than ticks, or none.
    #[error("snapshot_rate_hz must be 1 to the tick rate, got {0}")]
    SnapshotRate(u16),
    /// No mode at all.
    #[error("a game needs at least one mode")]
    NoMode,
    /// Player numbers of a mode are not 1 ≤ min ≤ default ≤ max.
    #[error("mode {0}: 1 <= players_min <= players_default <= players_max must hold")]
    Players(String),
}

impl GameDescriptor {
    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    ///
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), DescriptorError> {
        if !(20..=128).contains(&self.tick_rate_hz) {
            return Err(DescriptorError::TickRate(self.tick_rate_hz));
        }
        if !(1..=self.tick_rate_hz).contains(&self.snapshot_rate_hz) {
            return Err(DescriptorError::SnapshotRate(self.snapshot_rate_hz));
        }
        if self.modes.is_empty() {
            return Err(DescriptorError::NoMode);
        }
        match self.modes.iter().find(|mode| !mode.players_fit()) {
            Some(mode) => Err(DescriptorError::Players(mode.id.clone())),
            None => Ok(()),
        }
    }

    /// Ticks from one snapshot to the next.
    #[must_use]
    pub fn snapshot_interval_ticks(&self) -> u16 {
        self.tick_rate_hz / self.snapshot_rate_hz.max(1)
    }

    /// The mode of that name, or the default one for `None`.
    #[must_use]
    pub fn mode(&self, id: Option<&str>) -> Option<&GameMode> {
        match id {
            Some(id) => self.modes.iter().find(|mode| mode.id == id),
            None => self.modes.first(),
        }
    }
}

impl GameMode {
    fn players_fit(&self) -> bool {
        1 <= self.players_min
            && self.players_min <= self.players_default
            && self.players_default <= self.players_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena() -> GameDescriptor {
        toml::from_str(
            r#"
            id = "arena"
            name = "Arena"
            tick_rate_hz = 60
            snapshot_rate_hz = 20
            netcode = "state_replication"
            modes = [{ id = "ffa", players_min = 2, players_default = 16, players_max = 64 }]
            "#,
        )
        .unwrap()
    }

    #[test]
    fn the_first_mode_is_the_default() {
        assert_eq!(arena().mode(None).unwrap().id, "ffa");
        assert_eq!(arena().mode(Some("team")), None);
    }

    #[test]
    fn contradicting_numbers_are_named() {
        let mut game = arena();
        assert_eq!(game.check(), Ok(()));
        game.modes[0].players_default = 65;
        assert_eq!(
            game.check(),
            Err(DescriptorError::Players("ffa".to_owned()))
        );
        game.snapshot_rate_hz = 61;
        assert_eq!(game.check(), Err(DescriptorError::SnapshotRate(61)));
        game.tick_rate_hz = 10;
        assert_eq!(game.check(), Err(DescriptorError::TickRate(10)));
    }
}
