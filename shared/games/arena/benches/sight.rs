//! What it costs that 1,000 fighters look around on a field with walls.

mod crowd;

use std::time::Instant;

use bevy_math::Vec2;
use criterion::{Criterion, criterion_group, criterion_main};
use crowd::{Crowd, PLAYERS, TICKS_PER_DECISION};
use game_arena::{ArenaConfig, Body, map};
use gameserver_shared::prelude::*;
use gameserver_shared::stream::schema::Schema;
use gameserver_shared::stream::snapshot_buffer::{Actor, Slot, SnapshotBuffer};

/// A battle, and what its fighters see.
struct Lookout {
    crowd: Crowd,
    config: ArenaConfig,
    /// Places in the snapshots, by seat.
    slots: Vec<Slot>,
    sight: Visibility,
    fighters: Vec<(Seat, Visible)>,
}

impl Lookout {
    fn new() -> Self {
        let crowd = Crowd::fighting();
        let config = crowd.app.world().resource::<ArenaConfig>().clone();
        let mut stage = SnapshotBuffer::new(Schema::default(), TICKS_PER_DECISION);
        let slots = (0..PLAYERS).map(|seat| {
            stage.enter(Actor {
                id: id_of(Seat(seat)),
                kind: 0,
                owner: Some(Seat(seat)),
                team: None,
            })
        });
        Self {
            crowd,
            config,
            slots: slots.collect(),
            sight: Visibility::default(),
            fighters: Vec::new(),
        }
    }

    /// The battle goes on until the next snapshot.
    fn prepare(&mut self) {
        for _ in 0..TICKS_PER_DECISION {
            self.crowd.prepare();
            self.crowd.tick();
        }
        let world = self.crowd.app.world_mut();
        let mut fighters = world.query::<(&Avatar, &Body)>();
        let fighters = fighters.iter(world).map(|(avatar, body)| {
            let visible = Visible {
                id: id_of(avatar.seat),
                slot: self.slots[usize::from(avatar.seat.0)],
                place: body.position,
                owner: Some(avatar.seat),
            };
            (avatar.seat, visible)
        });
        self.fighters = fighters.collect();
    }

    fn look(&mut self) {
        let eyes = self.fighters.iter();
        let eyes = eyes.map(|(seat, own)| (*seat, own.place));
        let visible = self.fighters.iter().map(|(_, visible)| *visible);
        let can_see = |from: Vec2, to: Vec2| map::can_see(&self.config, from, to);
        let radius = self.config.sight.radius_m;
        let turns = SendSchedule::every(1);
        self.sight.update(&turns, radius, eyes, visible, |glance| {
            can_see(glance.from, glance.to)
        });
    }
}

fn id_of(seat: Seat) -> u32 {
    u32::from(seat.0) + 1
}

/// `cargo xtask bench --counts` counts what is done in functions whose names begin like this.
#[inline(never)]
fn measured(lookout: &mut Lookout) {
    lookout.look();
}

fn sight(criterion: &mut Criterion) {
    let mut lookout = Lookout::new();
    criterion.bench_function("interest query, 1,000 eyes", |bencher| {
        bencher.iter_custom(|times| {
            let once = |_| {
                lookout.prepare();
                let began = Instant::now();
                measured(&mut lookout);
                began.elapsed()
            };
            (0..times).map(once).sum()
        });
    });
    let seen = |(seat, _): &(Seat, Visible)| lookout.sight.of(*seat).len();
    let all: usize = lookout.fighters.iter().map(seen).sum();
    assert!(all > lookout.fighters.len(), "they see each other");
}

criterion_group!(benches, sight);
criterion_main!(benches);
