//! What a shot hits. Server only: no client's word is taken for it.

use bevy_ecs::prelude::*;
use gameserver_shared::prelude::*;

use crate::components::{Body, Fighter, Weapon};
use crate::config::ArenaConfig;
use crate::map;
use crate::movement::aim_direction;

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

/// Finds the first fighter on each shot's way, unless a wall is nearer. Shots of one tick count
/// in the order of seats.
pub fn resolve_shots(
    config: Res<ArenaConfig>,
    tick: CurrentTick,
    fighters: Query<(&Avatar, &Body, &Weapon, &Fighter)>,
    mut hits: MessageWriter<Hit>,
) {
    let shots = fighters.iter().filter(|(_, body, weapon, _)| {
        body.alive && weapon.fired_at_tick == tick.number() && tick.number() > 0
    });
    let mut shots: Vec<_> = shots.collect();
    shots.sort_unstable_by_key(|(avatar, ..)| avatar.seat);
    for (shooter, body, ..) in shots {
        let direction = aim_direction(body.aim);
        let reach = map::ray_length(&config, body.position, direction, config.weapon.range_m);
        let first_hit = fighters
            .iter()
            .filter(|(target, _, _, fighter)| {
                target.seat != shooter.seat && can_be_hurt(fighter, tick.number())
            })
            .filter_map(|(target, other, ..)| {
                let radius = config.movement.body_radius_m;
                let distance = map::disc_hit(body.position, direction, other.position, radius)?;
                (distance <= reach).then_some((distance, target.seat))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        if let Some((_, target)) = first_hit {
            hits.write(Hit {
                shooter: shooter.seat,
                target,
                damage: config.weapon.damage,
            });
        }
    }
}

fn can_be_hurt(fighter: &Fighter, tick: u32) -> bool {
    fighter.health > 0 && tick >= fighter.changes_at_tick
}
