//! What thin clients, spectators and replays are shown of a fighter, and who sees whom.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use gameserver_shared::prelude::*;
use serde::Serialize;

use crate::components::{Body, Fighter, Weapon};
use crate::config::{
    ArenaConfig, LifeConfig, MapConfig, MovementConfig, SightConfig, WeaponConfig,
};
use crate::map;

/// Farthest place of a map, metres.
const PLACE_MAX_M: f64 = 1_023.0;
/// Places are shown to 1/64 m.
const PLACE_STEP_M: f64 = 1.0 / 64.0;

impl Quantised for Body {
    const FIELDS: &'static [Field] = &[
        Field::line("x", 0.0, PLACE_MAX_M, PLACE_STEP_M),
        Field::line("y", 0.0, PLACE_MAX_M, PLACE_STEP_M),
        Field::circle("aim", 1.0, 1_024),
        Field::circle("life", 65_536.0, 65_536),
    ];

    fn show(&self, values: &mut Values<'_>) {
        values.put(self.position.x);
        values.put(self.position.y);
        values.put(f64::from(self.aim) / 65_536.0);
        values.put(self.life);
    }
}

impl Quantised for Weapon {
    const FIELDS: &'static [Field] = &[
        Field::circle("shots", 256.0, 256),
        Field::integer("ammunition", 255).shown_to(Audience::Owner),
        Field::integer("reloading", 1).shown_to(Audience::Owner),
    ];

    fn show(&self, values: &mut Values<'_>) {
        values.put(self.shots);
        values.put(self.ammunition);
        values.put(u8::from(self.reloading));
    }
}

impl Quantised for Fighter {
    const FIELDS: &'static [Field] = &[
        Field::integer("health", 1_000),
        Field::integer("kills", 65_535),
        Field::integer("deaths", 65_535),
    ];

    fn show(&self, values: &mut Values<'_>) {
        values.put(self.health);
        values.put(self.kills);
        values.put(self.deaths);
    }
}

/// The seat of a fighter's player: how a client knows its own.
#[derive(Component, Debug, Clone, Copy)]
pub struct SeatTag(pub Seat);

impl Quantised for SeatTag {
    const FIELDS: &'static [Field] = &[Field::integer("seat", 65_535)];

    fn show(&self, values: &mut Values<'_>) {
        values.put(self.0.0);
    }
}

/// Declares the one kind that arena has.
pub fn register(app: &mut App) {
    ShownKind::named("fighter")
        .with::<Body>()
        .with::<Weapon>()
        .with::<Fighter>()
        .with::<SeatTag>()
        .register(app);
    let mode = &app.world().resource::<MatchSettings>().mode;
    let rules = app.world().resource::<ArenaConfig>().rules.get(mode);
    if rules.is_none_or(|rules| rules.fog) {
        app.init_resource::<Sight>();
        app.add_systems(FixedPostUpdate, look.in_set(SnapshotSystems::Look));
    }
}

/// Every fighter looks around: what is too far away or behind a wall stays hidden.
fn look(
    config: Res<ArenaConfig>,
    turns: Res<Turns>,
    mut sight: ResMut<Sight>,
    fighters: Query<(&NetId, &OnStage, &Avatar, &Body)>,
) {
    let eyes = fighters
        .iter()
        .map(|(_, _, avatar, body)| (avatar.seat, body.position));
    let visible = fighters.iter().map(|(id, place, avatar, body)| Visible {
        id: id.0,
        slot: place.0,
        place: body.position,
        owner: Some(avatar.seat),
    });
    sight.look(&turns, config.sight.radius_m, eyes, visible, |glance| {
        map::can_see(&config, glance.from, glance.to)
    });
}

/// What every client may know of the place and the rules.
#[derive(Serialize)]
struct PublicConfig<'a> {
    map: &'a MapConfig,
    movement: &'a MovementConfig,
    weapon: &'a WeaponConfig,
    sight: &'a SightConfig,
    life: &'a LifeConfig,
}

/// The configuration that clients are sent, as JSON.
///
/// # Panics
///
/// Never: it is plain data.
#[must_use]
pub fn public_config(config: &ArenaConfig) -> String {
    let shown = PublicConfig {
        map: &config.map,
        movement: &config.movement,
        weapon: &config.weapon,
        sight: &config.sight,
        life: &config.life,
    };
    serde_json::to_string(&shown).expect("plain data has a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_may_know_is_what_the_server_enforces() {
        let config = ArenaConfig::builtin();
        let shown: serde_json::Value = serde_json::from_str(&public_config(&config)).unwrap();
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
    fn a_map_fits_the_range_of_the_places() {
        let config = ArenaConfig::builtin();
        assert!(f64::from(config.map.width_m.max(config.map.height_m)) <= PLACE_MAX_M);
    }
}
