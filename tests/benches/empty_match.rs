//! What a match of arena costs before anybody is in it: a tick of one App among many, which take
//! turns as they do on a worker.

use bevy_app::App;
use criterion::{Criterion, criterion_group, criterion_main};
use game_arena::Arena;
use gameserver_server::simulation::build_match;
use gameserver_shared::flow::MatchSettings;

/// As many matches as fill a core with players.
const MATCHES: usize = 32;
/// Until every schedule has run and been laid out.
const WARM_UP_TICKS: usize = 60;

fn matches() -> Vec<App> {
    let settings = MatchSettings {
        mode: "ffa".to_owned(),
        players_min: 2,
        players_max: 16,
        tick_rate_hz: 60,
        seed: 7,
    };
    let mut apps: Vec<_> = (0..MATCHES)
        .map(|_| build_match::<Arena>(settings.clone()))
        .collect();
    for _ in 0..WARM_UP_TICKS {
        apps.iter_mut().for_each(App::update);
    }
    apps
}

fn empty_match(criterion: &mut Criterion) {
    let mut apps = matches();
    let mut next = (0..MATCHES).cycle();
    criterion.bench_function("tick of a match without players, one of 32", |bencher| {
        bencher.iter(|| apps[next.next().expect("endless")].update());
    });
}

criterion_group!(benches, empty_match);
criterion_main!(benches);
