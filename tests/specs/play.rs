//! Playing: prediction, interpolation and the end of a match, over real sockets.

use std::time::Duration;

use game_arena::Arena;
use gameserver_client_sim::bot::{BotEnd, BotSnapshot, BotSpec};
use gameserver_client_sim::crew::Crew;
use gameserver_contract::ids::MatchId;
use gameserver_contract::session::TransportKind;
use gameserver_server::Games;
use gameserver_tests::stage::Stage;
use gameserver_transport::connect::ConnectOptions;

fn bots(stage: &Stage, id: MatchId, seats: u16, only: Option<TransportKind>) -> Vec<BotSpec> {
    (0..seats)
        .map(|seat| BotSpec {
            name: format!("bot {seat}"),
            join: stage.join(id, seat),
            options: ConnectOptions {
                only,
                ..ConnectOptions::default()
            },
            seed: seat.into(),
        })
        .collect()
}

async fn play(stage: &Stage, bots: Vec<BotSpec>, duration: Duration) -> Vec<BotSnapshot> {
    let runtime = tokio::runtime::Handle::current();
    let crew = Crew::start::<Arena>(bots, 1, &runtime).expect("a thread for the bots");
    let over = async {
        while !crew.is_over() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(duration, over).await;
    let _ = stage;
    tokio::task::spawn_blocking(move || crew.finish())
        .await
        .expect("the bots end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn players_predict_themselves_exactly_on_both_transports() {
    let stage = Stage::open(
        Games::default()
            .with::<Arena>()
            .expect("arena is consistent"),
        1,
    );
    for only in [TransportKind::Quic, TransportKind::WebSocket] {
        let id = stage.start_match("arena", 2, 4);
        let seen = play(
            &stage,
            bots(&stage, id, 4, Some(only)),
            Duration::from_secs(12),
        )
        .await;
        for bot in &seen {
            println!("{bot:?}");
            assert_eq!(bot.end, Some(BotEnd::TimeUp));
            assert_eq!(bot.transport, Some(only));
        }
    }
}
