//! What a tick of a battle costs with 1,000 fighters who walk and shoot: simulation, hits, rules
//! and hashes, without any network.

mod crowd;

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use crowd::Crowd;

/// `cargo xtask bench --counts` counts what is done in functions whose names begin like this.
#[inline(never)]
fn measured(crowd: &mut Crowd) {
    crowd.tick();
}

fn tick(criterion: &mut Criterion) {
    let mut crowd = Crowd::fighting();
    criterion.bench_function("arena tick, 1,000 players", |bencher| {
        bencher.iter_custom(|times| {
            let once = |_| {
                crowd.prepare();
                let began = Instant::now();
                measured(&mut crowd);
                began.elapsed()
            };
            (0..times).map(once).sum()
        });
    });
}

criterion_group!(benches, tick);
criterion_main!(benches);
