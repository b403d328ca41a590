//! A match that nobody is in costs nothing, and ends soon.

use std::time::Duration;

use game_arena::Arena;
use gameserver_contract::result::MatchOutcome;
use gameserver_contract::session::SessionState;
use gameserver_contract::session::TransportKind::{Quic, WebSocket};
use gameserver_contract::spectator::{SpectatorClaim, SpectatorView};
use gameserver_server::HostedGames;
use gameserver_tests::patience::{eventually, within};
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_tests::thin_player::ThinPlayer;
use gameserver_transport::close::CloseCode;

/// Share of its time that a worker has for looking whether there is something to do. Twenty matches
/// that are simulated take a hundred times as much.
const RESTING_MAX: f32 = 0.001;

fn arena() -> HostedGames {
    let games = HostedGames::default().with::<Arena>();
    games.expect("arena is consistent")
}

async fn works(stage: &Stage) {
    let directory = stage.host.directory();
    eventually("matches are simulated", || {
        directory.busiest_worker() > RESTING_MAX
    })
    .await;
}

async fn rests(stage: &Stage) {
    let directory = stage.host.directory();
    eventually("no match is simulated", || {
        directory.busiest_worker() < RESTING_MAX
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn matches_that_nobody_is_in_are_not_simulated_until_somebody_comes() {
    let stage = Stage::alone(arena()).await;
    let matches: Vec<_> = (0..20).map(|_| stage.start_match("arena", 2, 4)).collect();
    works(&stage).await;
    rests(&stage).await;

    let player = RawPlayer::join(&stage, &stage.join(matches[3], 1), Quic).await;
    player.receive().await;
    player.connection.close(CloseCode::Consented, "");
    works(&stage).await;
    rests(&stage).await;
    let everything = SpectatorClaim {
        view: SpectatorView::All,
        team: None,
        delay_s: 0,
    };
    let answer = stage.watch(matches[5], everything);
    let mut watcher = ThinPlayer::join(&answer, WebSocket).await;
    eventually("a spectator is shown the match", || {
        watcher.look();
        watcher.snapshots > 5
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_match_that_nobody_comes_to_is_ended_soon_and_one_with_a_player_is_not() {
    let lifetime = Duration::from_secs(2);
    let mut stage = Stage::alone_keeping_empty_matches_for(lifetime, arena()).await;
    let (empty, joined) = (
        stage.start_match("arena", 2, 4),
        stage.start_match("arena", 2, 4),
    );
    let player = RawPlayer::join(&stage, &stage.join(joined, 0), Quic).await;
    let finished = within(stage.finished.recv()).await.expect("a result");
    assert_eq!(finished.result.match_id, empty);
    assert_eq!(finished.result.outcome, MatchOutcome::Aborted);
    player.receive_next().await;
    assert_eq!(stage.summary(joined).state, SessionState::Filling);
}
