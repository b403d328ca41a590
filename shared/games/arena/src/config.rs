//! The game's numbers, read from a file of `assets/games`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::LazyLock;

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::prelude::*;
use gameserver_shared::walls::{Wall, Walls};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Battlefield, Yard};

/// A place to play, with its rules: what makes a game of its own out of the same fighters.
pub trait Ground: Debug + Clone + Copy + Default + Send + Sync + 'static {
    /// The game's file.
    const FILE: &'static str;

    /// What is in it.
    fn config() -> &'static ArenaConfig;
}

static YARD: LazyLock<ArenaConfig> = LazyLock::new(|| ArenaConfig::read(Yard::FILE));
static BATTLEFIELD: LazyLock<ArenaConfig> = LazyLock::new(|| ArenaConfig::read(Battlefield::FILE));

impl Ground for Yard {
    const FILE: &'static str = include_str!("../../../../assets/games/arena/game.toml");

    fn config() -> &'static ArenaConfig {
        &YARD
    }
}

impl Ground for Battlefield {
    const FILE: &'static str = include_str!("../../../../assets/games/battle/game.toml");

    fn config() -> &'static ArenaConfig {
        &BATTLEFIELD
    }
}

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
    /// Who is told of a kill.
    #[serde(default)]
    pub kills_told_to: KillFeed,
}

/// Who is told of a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KillFeed {
    /// Everybody in the match.
    #[default]
    Everybody,
    /// The two whom it happens to: with a thousand fighters, somebody falls all the time.
    Both,
}

/// The place: a rectangle from (0, 0) to (width, height) with solid boxes in it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MapConfig {
    /// Extent to the right.
    pub width_m: f32,
    /// Extent upwards.
    pub height_m: f32,
    /// Its solid boxes.
    pub walls: Walls,
    /// Where fighters come back, which is not told to clients.
    #[serde(skip_serializing)]
    pub spawns: Vec<Vec2>,
    /// How often all of this is laid out, to the right and upwards.
    #[serde(skip_serializing, default = "once")]
    pub repeat: [u8; 2],
}

fn once() -> [u8; 2] {
    [1, 1]
}

impl MapConfig {
    /// The whole place, laid out as often as it says.
    fn laid_out(self) -> Self {
        let [columns, rows] = self.repeat.map(|count| count.max(1));
        let size = Vec2::new(self.width_m, self.height_m);
        let tiles = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
        let corners: Vec<Vec2> = tiles
            .map(|(column, row)| size * Vec2::new(column.into(), row.into()))
            .collect();
        let moved = |wall: &Wall, by: Vec2| {
            [
                wall[0] + by.x,
                wall[1] + by.y,
                wall[2] + by.x,
                wall[3] + by.y,
            ]
        };
        let walls = corners
            .iter()
            .flat_map(|by| self.walls.all().iter().map(move |wall| moved(wall, *by)));
        let spawns = corners
            .iter()
            .flat_map(|by| self.spawns.iter().map(move |spawn| *spawn + *by));
        Self {
            width_m: size.x * f32::from(columns),
            height_m: size.y * f32::from(rows),
            walls: walls.collect::<Vec<_>>().into(),
            spawns: spawns.collect(),
            repeat: once(),
        }
    }
}

impl ArenaConfig {
    /// The configuration of arena.
    #[must_use]
    pub fn builtin() -> Self {
        Self::of::<Yard>()
    }

    /// The configuration that a game ships with.
    #[must_use]
    pub fn of<P: Ground>() -> Self {
        P::config().clone()
    }

    /// Reads a built-in file, which a test has read before.
    fn read(file: &str) -> Self {
        let read: Self = toml::from_str(file).expect("a built-in game.toml is valid");
        Self {
            map: read.map.laid_out(),
            ..read
        }
    }

    /// What every client may know of the place and the rules, as JSON.
    #[must_use]
    pub fn public(&self) -> String {
        json!({
            "map": self.map,
            "movement": self.movement,
            "weapon": self.weapon,
            "sight": self.sight,
            "life": self.life,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn the_built_in_configurations_are_consistent() {
        check("arena", &ArenaConfig::of::<Yard>());
        check("battle", &ArenaConfig::of::<Battlefield>());
    }

    #[test]
    fn what_clients_may_know_is_what_the_server_enforces() {
        let config = ArenaConfig::builtin();
        let shown: serde_json::Value = serde_json::from_str(&config.public()).unwrap();
        assert_eq!(
            shown["map"]["walls"].as_array().unwrap().len(),
            config.map.walls.all().len()
        );
        assert_eq!(shown["weapon"]["magazine"], config.weapon.magazine);
        assert!(
            shown["map"].get("spawns").is_none(),
            "where fighters come back is nobody's business"
        );
    }

    #[test]
    fn a_field_is_many_yards() {
        let (yard, field) = (
            ArenaConfig::of::<Yard>().map,
            ArenaConfig::of::<Battlefield>().map,
        );
        assert_eq!(field.walls.all().len(), 64 * yard.walls.all().len());
        assert_eq!(field.spawns.len(), 64 * yard.spawns.len());
        let far = Vec2::new(field.width_m, field.height_m);
        assert_eq!(far, Vec2::new(yard.width_m, yard.height_m) * 8.0);
        let last = field.spawns.last().unwrap();
        assert_eq!(
            far - *last,
            Vec2::new(yard.width_m, yard.height_m) - *yard.spawns.last().unwrap()
        );
    }

    fn check(id: &str, config: &ArenaConfig) {
        assert_eq!(config.game.check(), Ok(()));
        assert_eq!(config.game.id.as_str(), id);
        assert!(!config.map.spawns.is_empty());
        for mode in &config.game.modes {
            assert!(
                config.rules.contains_key(&mode.id),
                "mode {} has no rules",
                mode.id
            );
        }
        for spawn in &config.map.spawns {
            let pushed = map::push_out(config, *spawn);
            assert_eq!(pushed, *spawn, "a fighter cannot stand at spawn {spawn}");
        }
    }
}
