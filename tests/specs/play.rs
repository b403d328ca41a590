//! Playing: prediction and interpolation over real sockets.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use bevy_ecs::prelude::*;
use game_arena::{Arena, Body};
use gameserver_client::connection::GameConnection;
use gameserver_client::headless::headless_client;
use gameserver_client_sim::bot::{BotEnd, BotSpec, BotStats};
use gameserver_client_sim::bot_pool::BotPool;
use gameserver_contract::ids::MatchId;
use gameserver_contract::session::{JoinResponse, TransportKind, TransportOffer};
use gameserver_server::HostedGames;
use gameserver_tests::counters::Counter;
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_transport::certificate::ServerCertificate;
use gameserver_transport::close::{CloseCode, RefusalCode};
use gameserver_transport::connect::ConnectOptions;
use gameserver_transport::frame::{Credential, Refused};
use gameserver_transport::listener::{Listener, ListenerConfig};
use lightyear::prelude::Interpolated;
use tokio::runtime::Handle;

fn stage() -> Stage {
    Stage::open(
        HostedGames::default()
            .with::<Arena>()
            .expect("arena is consistent"),
        1,
    )
}

fn bots(stage: &Stage, id: MatchId, seats: u16, only: Option<TransportKind>) -> Vec<BotSpec> {
    let bot = |seat: u16| BotSpec {
        name: format!("bot {seat}"),
        join: stage.join(id, seat),
        options: ConnectOptions {
            only,
            ..ConnectOptions::default()
        },
        seed: seat.into(),
        retries_max: 0,
    };
    (0..seats).map(bot).collect()
}

async fn play(bots: Vec<BotSpec>, duration: Duration) -> Vec<BotStats> {
    let pool = BotPool::start::<Arena>(bots, 1, &Handle::current()).expect("a thread for the bots");
    tokio::time::sleep(duration).await;
    tokio::task::spawn_blocking(move || pool.finish())
        .await
        .expect("the bots end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bot_that_is_not_let_in_now_comes_back_as_often_as_it_may() {
    // A match that nobody serves yet, behind a door that this test keeps.
    let stage = stage();
    let id = stage.start_match("arena", 2, 4);
    let mut bot = bots(&stage, id, 1, Some(TransportKind::Quic)).remove(0);
    let local = ([127, 0, 0, 1], 0).into();
    let certificate =
        ServerCertificate::self_signed(&["127.0.0.1".to_owned()], SystemTime::UNIX_EPOCH);
    let config = ListenerConfig::new(local, certificate.expect("a certificate"));
    let mut door = Listener::bind(config).expect("a free port");
    let ticket = Credential::Ticket(bot.join.ticket.clone());
    bot.retries_max = 2;
    bot.join.transports = vec![TransportOffer {
        kind: TransportKind::Quic,
        url: format!("quic://{}", door.local_address()),
        certificate_sha256: Some(door.certificate_sha256().to_owned()),
    }];
    let pool = BotPool::start::<Arena>(vec![bot], 1, &Handle::current()).expect("a thread");
    for _ in 0..3 {
        let arrival = door.accept().await.expect("the bot comes");
        assert_eq!(arrival.hello().credential, ticket);
        let busy = Refused::for_now(RefusalCode::Busy, "busy", Duration::from_millis(1));
        arrival.refuse(busy).await;
    }
    // It ends by itself, with what the last answer said.
    let ended = tokio::task::spawn_blocking(move || {
        while !pool.is_over() {
            std::thread::yield_now();
        }
        pool.finish()
    });
    let end = ended.await.expect("the bot ends").remove(0).end;
    let Some(BotEnd::Disconnected(why)) = end else {
        panic!("{end:?}")
    };
    assert!(why.contains("busy"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn players_predict_themselves_exactly_on_both_transports() {
    let stage = stage();
    for only in [TransportKind::Quic, TransportKind::WebSocket] {
        let id = stage.start_match("arena", 2, 4);
        for bot in play(bots(&stage, id, 4, Some(only)), Duration::from_secs(8)).await {
            assert_eq!(bot.end, Some(BotEnd::TimeUp));
            assert_eq!(bot.transport, Some(only));
            assert!(bot.prediction.predicted_ticks > 100, "{bot:?}");
            // A late input is the one thing that makes an honest prediction wrong here.
            let wrong = bot.prediction.mispredicted_ticks;
            assert!(wrong <= u64::from(bot.inputs_late) * 4, "{bot:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_player_whose_connection_broke_costs_the_others_no_input() {
    let games = HostedGames::default().with::<Arena>();
    let stage = Stage::alone(games.expect("arena is consistent")).await;
    // A mode without fog: the avatar that nobody controls is always in view.
    let id = stage.start_match_in_mode("arena", "practice", 3, 3);
    let refused = Counter::watch_labelled("gs_inputs_rejected_total", "rule", "foreign_target");
    let broken = RawPlayer::join(&stage, &stage.join(id, 2), TransportKind::Quic).await;
    broken.receive().await;
    broken.connection.close(CloseCode::Internal, "");
    for bot in play(bots(&stage, id, 2, None), Duration::from_secs(5)).await {
        assert!(bot.prediction.predicted_ticks > 50, "{bot:?}");
    }
    assert_eq!(refused.increase(), 0, "they sent inputs for that avatar");
}

/// Where a client shows the one opponent, frame by frame.
struct Watcher {
    stop: SyncSender<()>,
    thread: std::thread::JoinHandle<Vec<Body>>,
}

impl Watcher {
    fn start(join: JoinResponse) -> Self {
        let (stop, stopped) = sync_channel(1);
        let runtime = Handle::current();
        let thread = std::thread::spawn(move || {
            let mut app = headless_client::<Arena>(runtime);
            app.world_mut().resource_mut::<GameConnection>().join(&join);
            let mut shown = Vec::new();
            let mut due = Instant::now();
            while stopped.recv_timeout(due.saturating_duration_since(Instant::now()))
                == Err(RecvTimeoutError::Timeout)
            {
                due += Duration::from_micros(16_667);
                app.update();
                let mut others = app
                    .world_mut()
                    .query_filtered::<&Body, With<Interpolated>>();
                shown.extend(others.iter(app.world()).copied());
            }
            shown
        });
        Self { stop, thread }
    }

    fn finish(self) -> Vec<Body> {
        drop(self.stop);
        self.thread.join().expect("the watcher ends")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn opponents_move_smoothly_between_the_snapshots() {
    let stage = stage();
    // A mode without fog: the opponent is always in view.
    let id = stage.start_match_in_mode("arena", "practice", 2, 2);
    let mover = bots(&stage, id, 1, None);
    let watcher = Watcher::start(stage.join(id, 1));
    play(mover, Duration::from_secs(5)).await;
    let shown = tokio::task::spawn_blocking(move || watcher.finish())
        .await
        .expect("it ends");
    assert!(
        shown.len() > 120,
        "the opponent was shown in {} frames only",
        shown.len()
    );
    let moving = shown
        .windows(2)
        .filter(|pair| pair[0].velocity.length() > 5.0);
    let steps: Vec<f32> = moving
        .map(|pair| pair[0].position.distance(pair[1].position))
        .collect();
    let places: BTreeSet<[u32; 2]> = shown
        .iter()
        .map(|body| [body.position.x.to_bits(), body.position.y.to_bits()])
        .collect();
    let snapshots = shown.len() / 3;
    assert!(
        places.len() > snapshots * 3 / 2,
        "{} places, {snapshots} snapshots",
        places.len()
    );
    // Top speed is 0.1 m a frame; a client without interpolation would jump 0.3 m.
    let jumps = steps.iter().filter(|step| **step > 0.2).count();
    assert!(
        jumps * 20 < steps.len(),
        "{jumps} jumps in {} frames",
        steps.len()
    );
}
