//! Whole matches: opened through the REST API, played by bots over real sockets, stored once.

use std::time::Duration;

use crate::support::{self, PROGRAM, guest};
use game_arena::Arena;
use gameserver_client_sim::bots::{self, BotsConfig, Target};
use gameserver_client_sim::{LoadReport, lobby::Lobby};
use gameserver_conditions::NetworkConditions;
use gameserver_contract::session::{CreateSession, SessionState, TransportKind};
use tokio_util::sync::CancellationToken;

async fn play_to_the_end(api: &str, transport: TransportKind) -> LoadReport {
    let config = BotsConfig {
        api: api.to_owned(),
        players: 8,
        duration: Duration::from_secs(150),
        target: Target::OwnSession(CreateSession {
            game: "arena".to_owned(),
            mode: Some("practice".to_owned()),
            players_max: Some(8),
            ..CreateSession::default()
        }),
        transport: Some(transport),
        conditions: NetworkConditions::NONE,
        seed: 7,
        threads: 1,
    };
    let report = bots::run::<Arena>(&config, &CancellationToken::new(), |_| {}).await;
    report.expect("the bots play")
}

/// Both at once, so that the test takes one match's time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_match_is_played_over_quic_and_over_websocket_and_its_result_stored_once() {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let (quic, websocket) = tokio::join!(
        play_to_the_end(&api, TransportKind::Quic),
        play_to_the_end(&api, TransportKind::WebSocket),
    );
    for (report, kind) in [
        (quic, TransportKind::Quic),
        (websocket, TransportKind::WebSocket),
    ] {
        println!("{}", report.table());
        assert!(report.bots.iter().all(|bot| bot.transport == Some(kind)));
        let figures = report.figures;
        let session = figures.session.expect("they play in one");
        let clients = figures.clients.expect("they are full clients");
        assert_eq!(figures.disconnects, 0);
        assert_eq!(session.session_state, SessionState::Ended);
        assert_eq!(session.results, 1);
        assert!(figures.kills >= 5, "the winner alone has 5");
        let (late, wrong) = (session.inputs_late, clients.mispredicted_ticks);
        assert!(
            wrong <= late * 4,
            "{wrong} wrong predictions with {late} late inputs"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_match_shows_in_the_stats_and_in_the_history() {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let ann = guest(&api).await;
    let config = BotsConfig {
        api: api.clone(),
        players: 2,
        duration: Duration::from_secs(6),
        target: Target::OwnSession(CreateSession {
            game: "arena".to_owned(),
            ..CreateSession::default()
        }),
        transport: None,
        conditions: NetworkConditions::NONE,
        seed: 3,
        threads: 1,
    };
    // Both leave after six seconds, three of them played: the match ends for lack of players.
    let report = bots::run::<Arena>(&config, &CancellationToken::new(), |_| {}).await;
    let report = report.expect("the bots play");
    let session = report.figures.session.expect("they play in one").session;
    let ended = support::eventually("the session ends", || async {
        let session = ann.session(session).await.expect("a session");
        (session.state == SessionState::Ended).then_some(session)
    })
    .await;
    let host = ended.host_player_id;
    let stats = ann.stats(host).await.expect("stats");
    assert_eq!(stats.len(), 1);
    assert_eq!((stats[0].game.as_str(), stats[0].matches), ("arena", 1));
    let history = ann.matches(host).await.expect("a history");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].match_id, ended.match_id);
    assert!(Lobby::new(&api).is_ok());
}
