//! What a rollback of 8 ticks costs a client of arena among 16 players. The client has played a
//! real match until then, and repeats its last ticks again and again.

use std::time::{Duration, Instant};

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use criterion::{Criterion, criterion_group, criterion_main};
use game_arena::{Arena, ArenaInput, Body};
use gameserver_client::connection::GameConnection;
use gameserver_client::headless::headless_client;
use gameserver_client::probe::PredictionTally;
use gameserver_client_sim::bot::BotSpec;
use gameserver_client_sim::bot_pool::BotPool;
use gameserver_server::HostedGames;
use gameserver_shared::bot::BotPolicy as _;
use gameserver_shared::determinism::MatchRng;
use gameserver_shared::input::PlayerAction;
use gameserver_shared::player::Avatar;
use gameserver_shared::protocol::tick_duration;
use gameserver_tests::stage::Stage;
use gameserver_transport::connect::ConnectOptions;
use lightyear::prelude::client::input::InputSystems;
use lightyear::prelude::input::native::InputMarker;
use lightyear::prelude::{LocalTimeline, PredictionMetrics, StateRollbackMetadata};
use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

const PLAYERS: u16 = 16;
const TICKS: u32 = 8;
/// Predictions that were compared with the server's word before anything is measured.
const PREDICTED_TICKS: u64 = 100;
/// No match takes so long to get going.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Resource)]
struct Chance(MatchRng);

/// A client that has played among others, whose server is gone now.
fn veteran() -> App {
    let runtime = Runtime::new().expect("threads");
    let app = runtime.block_on(play());
    // Without its runtime nothing arrives any more.
    runtime.shutdown_background();
    app
}

async fn play() -> App {
    let games = HostedGames::default().with::<Arena>().expect("arena fits");
    let stage = Stage::open(games, 1);
    let id = stage.start_match("arena", 2, PLAYERS);
    let bot = |seat: u16| BotSpec {
        name: format!("bot {seat}"),
        join: stage.join(id, seat),
        options: ConnectOptions::default(),
        seed: seat.into(),
        retries_max: 0,
    };
    let runtime = tokio::runtime::Handle::current();
    let others = (1..PLAYERS).map(bot).collect();
    let others = BotPool::start::<Arena>(others, 1, &runtime).expect("a thread for the bots");
    let mut app = headless_client::<Arena>(runtime);
    app.insert_resource(Chance(MatchRng::seeded(1)));
    app.add_systems(
        FixedPreUpdate,
        write_input.in_set(InputSystems::WriteClientInputs),
    );
    let join = stage.join(id, 0);
    app.world_mut().resource_mut::<GameConnection>().join(&join);
    let mut frames = tokio::time::interval(tick_duration::<Arena>());
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let began = Instant::now();
    while !has_played(&mut app) {
        assert!(began.elapsed() < PATIENCE, "the match does not get going");
        frames.tick().await;
        app.update();
    }
    drop(stage);
    let _ = tokio::task::spawn_blocking(move || others.finish()).await;
    app
}

fn has_played(app: &mut App) -> bool {
    let world = app.world_mut();
    let tally = world.resource::<PredictionTally>();
    tally.predicted_ticks >= PREDICTED_TICKS && own(world).is_some()
}

fn own(world: &mut World) -> Option<Entity> {
    let mut own =
        world.query_filtered::<Entity, (With<InputMarker<ArenaInput>>, With<Body>, With<Avatar>)>();
    own.iter(world).next()
}

fn write_input(world: &mut World) {
    let Some(own) = own(world) else { return };
    let input = world.resource_scope(|world, mut chance: Mut<'_, Chance>| {
        Arena::decide(world, own, &mut chance.0)
    });
    if let Some(mut action) = world.get_mut::<PlayerAction<ArenaInput>>(own) {
        action.0 = input;
    }
}

/// What the client does before a tick when the server's word differs from its prediction.
fn roll_back(app: &mut App) -> Duration {
    let world = app.world_mut();
    let start = world.resource::<LocalTimeline>().tick() - TICKS;
    world
        .resource_mut::<StateRollbackMetadata>()
        .request_forced_rollback(start);
    let began = Instant::now();
    world.run_schedule(PreUpdate);
    began.elapsed()
}

fn rollback(criterion: &mut Criterion) {
    let mut app = veteran();
    let before = app.world().resource::<PredictionMetrics>().rollback_ticks;
    let mut done = 0;
    criterion.bench_function("rollback of 8 ticks, 16 players", |bencher| {
        bencher.iter_custom(|times| {
            done += times;
            (0..times).map(|_| roll_back(&mut app)).sum()
        });
    });
    let after = app.world().resource::<PredictionMetrics>().rollback_ticks;
    let repeated = u64::from(after - before);
    assert_eq!(
        repeated,
        done * u64::from(TICKS),
        "every rollback repeated its ticks"
    );
}

criterion_group!(benches, rollback);
criterion_main!(benches);
