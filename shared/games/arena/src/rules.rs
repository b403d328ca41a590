//! Spawning, health, score and the end of a match. Server only.
//!
//! Whatever draws a random number or writes a list goes in the order of seats: the order of
//! Bevy's tables differs between a match and its replay.

use bevy_ecs::prelude::*;
use bevy_math::Vec2;
use gameserver_shared::prelude::*;

use crate::combat::Hit;
use crate::components::{Body, Fighter, Weapon};
use crate::config::{ArenaConfig, KillFeed};

/// Scores in one event, far below the limit of an event.
const SCORES_PER_EVENT: usize = 100;
/// Spawns that are compared for one fighter.
const SPAWNS_TRIED: usize = 8;

/// Gives everybody who takes a seat an avatar.
pub fn seat_players(
    mut commands: Commands,
    config: Res<ArenaConfig>,
    mut rng: ResMut<MatchRng>,
    mut players: NewPlayers,
    bodies: Query<&Body>,
) {
    for new in players.read() {
        let body = Body {
            position: safest_spawn(&config, &mut rng, bodies.iter()),
            velocity: Vec2::ZERO,
            aim: 0,
            life: 0,
            alive: true,
        };
        let fighter = Fighter {
            health: config.life.health_max,
            ..Default::default()
        };
        let avatar = Avatar { seat: new.seat };
        commands.spawn((avatar, body, Weapon::full(&config.weapon), fighter));
    }
}

/// Clears what was done in the warm-up when play begins.
pub fn reset_when_play_starts(
    status: Single<&MatchStatus>,
    tick: CurrentTick,
    config: Res<ArenaConfig>,
    mut fighters: Query<(&mut Fighter, &Body)>,
) {
    // The phase began after the rules of its first tick. Change detection would also find a
    // status that was restored.
    let began = status.since_tick + 1 == tick.number();
    if status.phase != MatchPhase::Running || !began {
        return;
    }
    for (mut fighter, body) in &mut fighters {
        // Those who are just dead come back when they were to.
        let (health, changes_at_tick) = if body.alive {
            (config.life.health_max, 0)
        } else {
            (0, fighter.changes_at_tick)
        };
        *fighter = Fighter {
            health,
            changes_at_tick,
            ..Default::default()
        };
    }
}

/// Takes health, and counts kills and deaths. In the warm-up nobody scores, and nobody is told.
pub fn apply_hits(
    config: Res<ArenaConfig>,
    settings: Res<MatchSettings>,
    status: Single<&MatchStatus>,
    tick: CurrentTick,
    mut hits: MessageReader<Hit>,
    mut fighters: Query<(&Avatar, &mut Body, &mut Fighter)>,
    mut events: MessageWriter<MatchEvent>,
) {
    let rules = config.rules.get(&settings.mode);
    let told = rules.map_or(KillFeed::Everybody, |rules| rules.kills_told_to);
    for hit in hits.read() {
        let target = fighters
            .iter_mut()
            .find(|(avatar, ..)| avatar.seat == hit.target);
        let Some((_, mut body, mut fighter)) = target.filter(|row| row.2.health > 0) else {
            continue;
        };
        fighter.health = fighter.health.saturating_sub(hit.damage);
        if fighter.health > 0 {
            continue;
        }
        fighter.changes_at_tick = tick.number() + config.life.respawn_ticks;
        body.life = body.life.wrapping_add(1);
        body.alive = false;
        body.velocity = Vec2::ZERO;
        if status.phase != MatchPhase::Running {
            continue;
        }
        fighter.deaths = fighter.deaths.saturating_add(1);
        let kill = MatchEvent::new("kill", &(hit.shooter.0, hit.target.0));
        events.write(match told {
            KillFeed::Everybody => kill,
            KillFeed::Both => kill.told_to(vec![hit.shooter, hit.target]),
        });
        let shooter = fighters
            .iter_mut()
            .find(|(avatar, ..)| avatar.seat == hit.shooter);
        if let Some((_, _, mut shooter)) = shooter {
            shooter.kills = shooter.kills.saturating_add(1);
        }
    }
}

/// Brings the dead back where the nearest opponent is farthest.
pub fn respawn_fighters(
    config: Res<ArenaConfig>,
    tick: CurrentTick,
    mut rng: ResMut<MatchRng>,
    mut fighters: Query<(&Avatar, &mut Body, &mut Weapon, &mut Fighter)>,
) {
    let alive: Vec<Body> = fighters
        .iter()
        .map(|row| *row.1)
        .filter(|body| body.alive)
        .collect();
    let returning = fighters
        .iter_mut()
        .filter(|(_, body, _, fighter)| !body.alive && tick.number() >= fighter.changes_at_tick);
    let mut returning: Vec<_> = returning.collect();
    returning.sort_unstable_by_key(|(avatar, ..)| avatar.seat);
    for (_, mut body, mut weapon, mut fighter) in returning {
        body.position = safest_spawn(&config, &mut rng, alive.iter());
        body.velocity = Vec2::ZERO;
        body.life = body.life.wrapping_add(1);
        body.alive = true;
        *weapon = Weapon {
            shots: weapon.shots,
            ..Weapon::full(&config.weapon)
        };
        fighter.health = config.life.health_max;
        fighter.changes_at_tick = tick.number() + config.life.protection_ticks;
    }
}

/// Ends the match when somebody has the winning score, the time is over, or nobody is left to
/// play against.
pub fn end_match(
    config: Res<ArenaConfig>,
    settings: Res<MatchSettings>,
    tick: CurrentTick,
    status: Single<&MatchStatus>,
    fighters: Query<&Fighter>,
    mut end: MessageWriter<EndMatch>,
) {
    // The host refuses modes that the descriptor does not have, and a test holds both together.
    let Some(rules) = config.rules.get(&settings.mode) else {
        return;
    };
    let played_ticks = tick.number().saturating_sub(status.since_tick);
    let time_over = played_ticks >= rules.time_limit_s * u32::from(settings.tick_rate_hz);
    let best_score = fighters.iter().map(|fighter| fighter.kills).max();
    let too_few = fighters.iter().count() < usize::from(settings.players_min);
    if time_over || too_few || best_score.unwrap_or(0) >= rules.score_to_win {
        end.write(EndMatch);
    }
}

/// How everybody stands, for those who come now: seat, kills and deaths.
pub fn scores(world: &mut World) -> Vec<MatchEvent> {
    let mut fighters = world.query::<(&Avatar, &Fighter)>();
    let score =
        |(avatar, fighter): (&Avatar, &Fighter)| (avatar.seat.0, fighter.kills, fighter.deaths);
    let mut scores: Vec<_> = fighters.iter(world).map(score).collect();
    scores.sort_unstable();
    let events = scores.chunks(SCORES_PER_EVENT);
    events
        .map(|scores| MatchEvent::new("scores", &scores))
        .collect()
}

/// The spawn whose nearest living opponent is farthest; chance decides among equals, and which
/// ones are looked at where there are many.
fn safest_spawn<'a>(
    config: &ArenaConfig,
    rng: &mut MatchRng,
    bodies: impl Iterator<Item = &'a Body> + Clone,
) -> Vec2 {
    let spawns = &config.map.spawns;
    let count = u32::try_from(spawns.len()).unwrap_or(u32::MAX);
    let first = rng.below(count) as usize;
    let danger = |spawn: Vec2| {
        let distances = bodies
            .clone()
            .map(|body| body.position.distance_squared(spawn));
        distances.fold(f32::INFINITY, f32::min)
    };
    let turned =
        (0..spawns.len().min(SPAWNS_TRIED)).map(|index| spawns[(first + index) % spawns.len()]);
    turned.fold(spawns[first], |best, spawn| {
        if danger(spawn) > danger(best) {
            spawn
        } else {
            best
        }
    })
}
