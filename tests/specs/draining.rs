//! An instance that goes away tells its players, and lets them play on until it does.

use std::time::Duration;

use game_arena::Arena;
use gameserver_contract::session::TransportKind::{Quic, WebSocket};
use gameserver_server::HostedGames;
use gameserver_tests::patience::{eventually, within};
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_tests::thin_player::ThinPlayer;
use gameserver_transport::close::CloseCode;
use gameserver_transport::frame::{Credential, Hello, Mode};

const GRACE: Duration = Duration::from_secs(100);

/// How many seconds are left, as a player was told.
async fn seconds_left(player: &mut ThinPlayer) -> u64 {
    eventually("the player is told of the end", || {
        player.look();
        player.heard("draining").is_some()
    })
    .await;
    let told = player.heard("draining").expect("it was just there");
    let (seconds_left,) = rmp_serde::from_slice(&told.payload).expect("a number of seconds");
    seconds_left
}

async fn stage() -> Stage {
    let games = HostedGames::default().with::<Arena>();
    Stage::alone(games.expect("arena is consistent")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn players_are_told_how_long_their_instance_stays_and_at_its_end_why() {
    let stage = stage().await;
    let id = stage.start_match("arena", 1, 4);
    let answer = stage.join(id, 0);
    let mut player = ThinPlayer::join(&answer, Quic).await;
    stage.host.drain(GRACE);
    assert_eq!(seconds_left(&mut player).await, GRACE.as_secs());

    // Whoever plays already may come back, and is told then.
    player.raw.connection.close(CloseCode::Internal, "");
    let token = player.raw.welcome.resume_token.clone();
    let hello = Hello::new(Mode::Thin, Credential::Resume(token), "gameserver-tests");
    let back = RawPlayer::say_hello(&answer.transports, hello, WebSocket).await;
    let mut back = ThinPlayer::over(back.expect("the seat is held"));
    let left = seconds_left(&mut back).await;
    assert!((80..=GRACE.as_secs()).contains(&left), "{left} s");

    assert_eq!(stage.host.shut_match_down(id), Ok(true));
    assert_eq!(back.raw.closed().await.code, CloseCode::Draining);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_waits_for_an_empty_match() {
    let mut stage = stage().await;
    let (empty, joined) = (
        stage.start_match("arena", 1, 4),
        stage.start_match("arena", 1, 4),
    );
    let player = RawPlayer::join(&stage, &stage.join(joined, 0), Quic).await;
    player.receive().await;
    stage.host.drain(GRACE);
    let finished = within(stage.finished.recv()).await.expect("a result");
    assert_eq!(finished.result.match_id, empty);
    player.receive_next().await;
}
