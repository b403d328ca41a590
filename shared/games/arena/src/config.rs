//! The game's numbers, read from `assets/games/arena/game.toml`.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::prelude::*;
use serde::{Deserialize, Serialize};

/// The file that the game ships with.
pub const BUILTIN: &str = include_str!("../../../../assets/games/arena/game.toml");

/// Everything in the file.
#[derive(Resource, Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArenaConfig {
    /// What the lobby knows of the game.
    pub game: GameDescriptor,
    /// How bodies move.
    pub movement: MovementConfig,
    /// How the weapon works.
    pub weapon: WeaponConfig,
    /// Health and coming back.
    pub life: LifeConfig,
    /// What a fighter sees.
    pub sight: SightConfig,
    /// When a match ends, by mode.
    pub rules: BTreeMap<String, RulesConfig>,
    /// The place.
    pub map: MapConfig,
}

/// How bodies move.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MovementConfig {
    /// Top speed.
    pub speed_max_m_per_s: f32,
    /// How fast the velocity follows the stick.
    pub acceleration_m_per_s2: f32,
    /// Bodies are discs of this radius.
    pub body_radius_m: f32,
}

/// How the weapon works.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WeaponConfig {
    /// How far a shot carries.
    pub range_m: f32,
    /// Health that a hit takes.
    pub damage: u16,
    /// Ticks between shots.
    pub fire_interval_ticks: u32,
    /// Shots before a reload.
    pub magazine: u16,
    /// Ticks that a reload takes.
    pub reload_ticks: u32,
}

/// Health and coming back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LifeConfig {
    /// Health of a fresh fighter.
    pub health_max: u16,
    /// Ticks between death and coming back.
    pub respawn_ticks: u32,
    /// Ticks after coming back in which nothing hurts.
    pub protection_ticks: u32,
}

/// What a fighter sees.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SightConfig {
    /// How far.
    pub radius_m: f32,
}

/// When a match ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesConfig {
    /// The first fighter with so many points wins.
    pub score_to_win: u16,
    /// The best score wins when the time is over.
    pub time_limit_s: u32,
    /// Whether what is beyond the radius of sight, or behind a wall, is hidden. Without fog
    /// everybody is sent everything.
    pub fog: bool,
}

/// The place: a rectangle from (0, 0) to (width, height) with solid boxes in it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MapConfig {
    /// Extent to the right.
    pub width_m: f32,
    /// Extent upwards.
    pub height_m: f32,
    /// Left, bottom, right, top of each solid box.
    pub walls: Vec<[f32; 4]>,
    /// Where fighters come back, which is not told to clients.
    #[serde(skip_serializing)]
    pub spawns: Vec<Vec2>,
}

impl ArenaConfig {
    /// The configuration that the game ships with.
    ///
    /// # Panics
    ///
    /// Never: a test reads the same file.
    #[must_use]
    pub fn builtin() -> Self {
        toml::from_str(BUILTIN).expect("the built-in game.toml is valid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn the_built_in_configuration_is_consistent() {
        let config = ArenaConfig::builtin();
        assert_eq!(config.game.check(), Ok(()));
        assert_eq!(config.game.id.as_str(), "arena");
        assert!(!config.map.spawns.is_empty());
        for mode in &config.game.modes {
            assert!(
                config.rules.contains_key(&mode.id),
                "mode {} has no rules",
                mode.id
            );
        }
        for spawn in &config.map.spawns {
            let pushed = map::push_out(&config, *spawn);
            assert_eq!(pushed, *spawn, "a fighter cannot stand at spawn {spawn}");
        }
    }
}
