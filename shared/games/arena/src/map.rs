//! The solid world: where bodies may be and what stops a shot. Pure functions of the map.

use bevy_math::Vec2;
use gameserver_shared::walls::Wall;

use crate::config::ArenaConfig;

/// Moves a disc's centre out of walls and back into the arena, along the shortest way.
#[must_use]
pub fn push_out(config: &ArenaConfig, centre: Vec2) -> Vec2 {
    let radius = config.movement.body_radius_m;
    let near = config.map.walls.near(centre);
    let pushed = near.fold(centre, |centre, wall| leave(wall, centre, radius));
    let far_corner = Vec2::new(config.map.width_m, config.map.height_m);
    pushed.clamp(Vec2::splat(radius), far_corner - Vec2::splat(radius))
}

fn leave([left, bottom, right, top]: &[f32; 4], centre: Vec2, radius: f32) -> Vec2 {
    let nearest = centre.clamp(Vec2::new(*left, *bottom), Vec2::new(*right, *top));
    let away = centre - nearest;
    let distance = away.length();
    if distance >= radius {
        return centre;
    }
    if distance > 0.0 {
        return nearest + away * (radius / distance);
    }
    // The centre is inside the box: leave through the nearest side.
    let exits = [
        Vec2::new(left - radius, centre.y),
        Vec2::new(right + radius, centre.y),
        Vec2::new(centre.x, bottom - radius),
        Vec2::new(centre.x, top + radius),
    ];
    exits.into_iter().fold(exits[0], |best, exit| {
        if exit.distance_squared(centre) < best.distance_squared(centre) {
            exit
        } else {
            best
        }
    })
}

/// How far a ray gets before a wall or the border stops it, at most `range`. `direction` has
/// length 1.
#[must_use]
pub fn ray_length(config: &ArenaConfig, from: Vec2, direction: Vec2, range: f32) -> f32 {
    let arena = [0.0, 0.0, config.map.width_m, config.map.height_m];
    let border = crossing(&arena, from, direction).map_or(range, |(_, leaves)| leaves);
    let walls = config.map.walls.along(from, from + direction * range);
    walls
        .filter_map(|wall| crossing(wall, from, direction))
        .map(|(enters, _)| enters.max(0.0))
        .fold(border.min(range), f32::min)
}

/// Whether an eye sees anything of a body: its middle or one of its sides, and a little more, so
/// that nobody pops up around a corner. Walls are in the way, bodies are not.
#[must_use]
pub fn can_see(config: &ArenaConfig, eye: Vec2, body: Vec2) -> bool {
    let aside = (body - eye).normalize_or_zero().perp() * (config.movement.body_radius_m * 1.5);
    [body, body + aside, body - aside]
        .into_iter()
        .any(|point| is_clear(config, eye, point))
}

fn is_clear(config: &ArenaConfig, from: Vec2, to: Vec2) -> bool {
    let distance = from.distance(to);
    let along = (to - from).normalize_or_zero();
    let is_crossed =
        |wall: &Wall| crossing(wall, from, along).is_some_and(|(enters, _)| enters < distance);
    !config.map.walls.any_between(from, to, is_crossed)
}

/// Where a ray enters and leaves a box (the slab method); `None` when it misses the box or the
/// box lies behind.
fn crossing([left, bottom, right, top]: &[f32; 4], from: Vec2, along: Vec2) -> Option<(f32, f32)> {
    let inverse = along.recip();
    let first = (Vec2::new(*left, *bottom) - from) * inverse;
    let second = (Vec2::new(*right, *top) - from) * inverse;
    let enters = first.min(second).max_element();
    let leaves = first.max(second).min_element();
    (leaves >= enters.max(0.0)).then_some((enters, leaves))
}

/// How far along a ray a disc is hit; `None` when it is missed or lies behind.
#[must_use]
pub fn disc_hit(from: Vec2, direction: Vec2, centre: Vec2, radius: f32) -> Option<f32> {
    let to_centre = centre - from;
    let along = to_centre.dot(direction);
    let aside_squared = to_centre.length_squared() - along * along;
    let inside_squared = radius * radius - aside_squared;
    (along > 0.0 && inside_squared >= 0.0).then(|| (along - inside_squared.sqrt()).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ArenaConfig {
        let mut config = ArenaConfig::builtin();
        config.map.walls = vec![[10.0, 10.0, 12.0, 14.0]].into();
        config
    }

    #[test]
    fn a_body_is_pushed_out_of_a_wall_and_into_the_arena() {
        let config = config();
        let radius = config.movement.body_radius_m;
        let touching = push_out(&config, Vec2::new(9.9, 12.0));
        assert!((touching.x - (10.0 - radius)).abs() < 1e-5);
        let inside = push_out(&config, Vec2::new(11.9, 12.0));
        assert!((inside.x - (12.0 + radius)).abs() < 1e-5);
        let outside = push_out(&config, Vec2::new(-5.0, 500.0));
        assert_eq!(outside, Vec2::new(radius, config.map.height_m - radius));
    }

    #[test]
    fn a_ray_ends_at_the_first_wall_or_at_the_border() {
        let config = config();
        let length = |from, direction| ray_length(&config, from, direction, 25.0);
        assert!((length(Vec2::new(5.0, 12.0), Vec2::X) - 5.0).abs() < 1e-5);
        assert!((length(Vec2::new(5.0, 12.0), Vec2::NEG_X) - 5.0).abs() < 1e-5);
        assert!((length(Vec2::new(5.0, 5.0), Vec2::X) - 25.0).abs() < 1e-5);
    }

    #[test]
    fn a_wall_hides_what_is_behind_it_and_nothing_beside_it() {
        let config = config();
        let eye = Vec2::new(5.0, 12.0);
        assert!(!can_see(&config, eye, Vec2::new(20.0, 12.0)));
        assert!(can_see(&config, eye, Vec2::new(20.0, 25.0)));
        assert!(
            can_see(&config, eye, Vec2::new(9.0, 12.0)),
            "in front of the wall"
        );
        assert!(can_see(&config, eye, eye));
    }

    #[test]
    fn a_disc_is_hit_in_front_and_missed_behind_or_beside() {
        let hit = |centre| disc_hit(Vec2::ZERO, Vec2::X, centre, 0.5);
        assert!((hit(Vec2::new(10.0, 0.0)).unwrap() - 9.5).abs() < 1e-5);
        assert_eq!(hit(Vec2::new(-10.0, 0.0)), None);
        assert_eq!(hit(Vec2::new(10.0, 0.6)), None);
    }
}
