//! A match goes on for players whose UDP stops coming through: over real sockets, whose packets a
//! relay drops.

use std::time::{Duration, Instant};

use game_arena::Arena;
use gameserver_client_sim::bot::{BotEnd, BotSpec, BotStats};
use gameserver_client_sim::bot_pool::BotPool;
use gameserver_contract::session::TransportKind;
use gameserver_server::HostedGames;
use gameserver_tests::cable::UdpPath;
use gameserver_tests::patience::eventually;
use gameserver_tests::stage::Stage;
use gameserver_transport::connect::ConnectOptions;
use tokio::runtime::Handle;

const PLAYERS: u16 = 2;
/// The client notices after 1.5 s; a connection that nobody looks after dies after 10 s.
const NOTICED_WITHIN: Duration = Duration::from_secs(6);

fn use_only(bots: &[BotStats], transport: TransportKind) -> bool {
    bots.iter().all(|bot| bot.transport == Some(transport))
}

fn predicted(bots: &[BotStats]) -> Vec<u64> {
    bots.iter()
        .map(|bot| bot.prediction.predicted_ticks)
        .collect()
}

/// Waits until every bot has predicted more of its own ticks than before.
async fn all_play_on(pool: &BotPool) {
    let before = predicted(&pool.stats());
    let plays_on = || {
        let now = predicted(&pool.stats());
        now.iter().zip(&before).all(|(now, before)| now > before)
    };
    eventually("everybody plays", plays_on).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn players_whose_udp_is_cut_keep_their_seats_over_websocket_until_quic_is_back() {
    let games = HostedGames::default().with::<Arena>();
    let stage = Stage::alone(games.expect("arena is consistent")).await;
    let id = stage.start_match_in_mode("arena", "practice", PLAYERS, PLAYERS);
    let path = UdpPath::open(stage.address()).await;
    let bot = |seat: u16| {
        let mut join = stage.join(id, seat);
        path.lead(&mut join);
        BotSpec {
            name: format!("bot {seat}"),
            join,
            options: ConnectOptions::default(),
            seed: seat.into(),
            retries_max: 0,
        }
    };
    let bots = (0..PLAYERS).map(bot).collect();
    let pool = BotPool::start::<Arena>(bots, 1, &Handle::current()).expect("a thread for the bots");
    let uses = |transport| move |pool: &BotPool| use_only(&pool.stats(), transport);
    let (quic, websocket) = (uses(TransportKind::Quic), uses(TransportKind::WebSocket));

    eventually("they come over QUIC", || quic(&pool)).await;
    all_play_on(&pool).await;
    let seats = stage.summary(id).seats;

    path.cut();
    let cut = Instant::now();
    eventually("they fall back to WebSocket", || websocket(&pool)).await;
    assert!(cut.elapsed() < NOTICED_WITHIN, "after {:?}", cut.elapsed());
    all_play_on(&pool).await;

    path.mend();
    eventually("they come back to QUIC", || quic(&pool)).await;
    all_play_on(&pool).await;

    let held = stage.summary(id).seats;
    assert!(held.keys().eq(seats.keys()), "{held:?}");
    let ended = tokio::task::spawn_blocking(move || pool.finish());
    for bot in ended.await.expect("the bots end") {
        assert_eq!(bot.end, Some(BotEnd::TimeUp));
        assert!(bot.reconnects >= 2, "{bot:?}");
    }
}
