//! What a shot hits. Server only: no client's word is taken for it.

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::grid::Grid;
use gameserver_shared::prelude::*;

use crate::components::{Body, Fighter, Weapon};
use crate::config::ArenaConfig;
use crate::map;
use crate::movement::aim_direction;

/// Side of a cell in which fighters are looked for, metres.
const CELL_M: f32 = 8.0;

/// A shot that hurt somebody.
#[derive(Message, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Who shot.
    pub shooter: Seat,
    /// Who was hit.
    pub target: Seat,
    /// Health that it takes.
    pub damage: u16,
}

/// Fighters who can be hurt, found by place. Kept from tick to tick so that nothing is allocated.
#[derive(Debug, Default)]
pub struct Targets {
    grid: Grid,
    places: Vec<Vec2>,
    seats: Vec<Seat>,
}

/// Finds the first fighter on each shot's way, unless a wall is nearer. Shots of one tick count
/// in the order of seats.
pub fn resolve_shots(
    config: Res<ArenaConfig>,
    tick: CurrentTick,
    fighters: Query<(&Avatar, &Body, &Weapon, &Fighter)>,
    mut targets: Local<Targets>,
    mut hits: MessageWriter<Hit>,
) {
    let shots = fighters.iter().filter(|(_, body, weapon, _)| {
        body.alive && weapon.fired_at_tick == tick.number() && tick.number() > 0
    });
    let mut shots: Vec<_> = shots
        .map(|(avatar, body, ..)| (avatar.seat, body))
        .collect();
    if shots.is_empty() {
        return;
    }
    shots.sort_unstable_by_key(|shot| shot.0);
    let hurtable = fighters
        .iter()
        .filter(|row| can_be_hurt(row.3, tick.number()));
    targets.fill(hurtable.map(|(avatar, body, ..)| (avatar.seat, body.position)));
    for (shooter, body) in shots {
        if let Some(target) = targets.first_hit(&config, shooter, body) {
            hits.write(Hit {
                shooter,
                target,
                damage: config.weapon.damage,
            });
        }
    }
}

impl Targets {
    fn fill(&mut self, fighters: impl Iterator<Item = (Seat, Vec2)>) {
        self.places.clear();
        self.seats.clear();
        for (seat, place) in fighters {
            self.places.push(place);
            self.seats.push(seat);
        }
        self.grid.fill(CELL_M, &self.places);
    }

    /// Whom a shot hits: the first one on its way, of two at once the lower seat.
    fn first_hit(&self, config: &ArenaConfig, shooter: Seat, body: &Body) -> Option<Seat> {
        let (from, direction) = (body.position, aim_direction(body.aim));
        let reach = map::ray_length(config, from, direction, config.weapon.range_m);
        let radius = config.movement.body_radius_m;
        let middle = from + direction * (reach / 2.0);
        // A little more than the farthest corner of what the shot can touch.
        let near = self.grid.near(middle, reach / 2.0 + 2.0 * radius);
        let hit = near.filter(|index| self.seats[*index] != shooter);
        let hit = hit.filter_map(|index| {
            let distance = map::disc_hit(from, direction, self.places[index], radius)?;
            (distance <= reach).then_some((distance, self.seats[index]))
        });
        let first = hit.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        first.map(|first| first.1)
    }
}

fn can_be_hurt(fighter: &Fighter, tick: u32) -> bool {
    fighter.health > 0 && tick >= fighter.changes_at_tick
}
