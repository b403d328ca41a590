//! What one match may do to the others on its worker: nothing.

use std::time::Instant;

use gameserver_contract::ids::{MatchId, Seat};
use gameserver_contract::session::SessionState;
use gameserver_contract::session::TransportKind::Quic;
use gameserver_server::HostedGames;
use gameserver_server::simulation::{ConnectionId, Entrant};
use gameserver_tests::counters::Counter;
use gameserver_tests::fragile::{FAILS, FRAGILE, Fragile, PANICS, PANICS_WHEN_BUILT, SOUND};
use gameserver_tests::patience::{eventually, within};
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::stage::Stage;
use gameserver_tests::witness::Witnesses;
use gameserver_tests::workbench::connect_past_the_gateway;
use gameserver_transport::close::CloseCode;

/// Players of the match that panics.
const PLAYERS: u16 = 16;
/// Runs in which another program may have taken the processor away for more than five ticks,
/// which costs ticks and is counted. A match that costs its neighbour ticks does so in each run.
const RUNS_MAX: usize = 3;
/// Ticks by which reading a clock in another thread may be off.
const TICKS_OFF_MAX: u64 = 6;

async fn stage() -> Stage {
    let games = HostedGames::default().with::<Fragile>();
    Stage::alone(games.expect("the game is consistent")).await
}

fn start(stage: &Stage, mode: &str) -> MatchId {
    stage.start_match_in_mode(FRAGILE, mode, 1, PLAYERS)
}

async fn fill(stage: &Stage, match_id: MatchId) -> Vec<RawPlayer> {
    let mut players = Vec::new();
    for seat in 0..PLAYERS {
        let answer = stage.join(match_id, seat);
        players.push(RawPlayer::join(stage, &answer, Quic).await);
    }
    players
}

/// Stops a match; the ticks that it simulated.
async fn stop(stage: &mut Stage, match_id: MatchId) -> u64 {
    assert_eq!(stage.host.stop_match(match_id), Ok(true));
    let finished = within(stage.finished.recv()).await;
    let result = finished.expect("the host hands results over").result;
    assert_eq!(result.match_id, match_id);
    result.ticks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_match_that_panics_tells_its_players_and_is_failed() {
    let stage = stage().await;
    let panics = Counter::watch("gs_match_panics_total");
    let broken = start(&stage, PANICS);
    for player in fill(&stage, broken).await {
        assert_eq!(player.closed().await.code, CloseCode::Internal);
    }
    assert_eq!(stage.summary(broken).state, SessionState::Failed);
    assert_eq!(panics.increase(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_match_that_panics_costs_its_neighbour_no_tick() {
    let mut stage = stage().await;
    let mut lost = Vec::new();
    for _ in 0..RUNS_MAX {
        let ticks_left_out = Counter::watch("gs_tick_overruns_total");
        let sound = start(&stage, SOUND);
        let began = Instant::now();
        let witnesses = Witnesses::play::<Fragile>(&stage, sound, 0..PLAYERS).await;
        let broken = start(&stage, PANICS);
        for player in fill(&stage, broken).await {
            player.closed().await;
        }
        witnesses.see_the_match_go_on().await;
        witnesses.leave().await;
        let ticks_due =
            u64::try_from(began.elapsed().as_millis() * 60 / 1_000).expect("a few seconds");
        let ticks = stop(&mut stage, sound).await;
        let left_out = ticks_left_out.increase();
        let accounted = ticks + left_out;
        assert!(
            accounted.abs_diff(ticks_due) <= TICKS_OFF_MAX,
            "{ticks} simulated, {left_out} left out, {ticks_due} due"
        );
        if left_out == 0 {
            return;
        }
        lost.push(left_out);
    }
    unreachable!("ticks lost in each run: {lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_match_that_cannot_be_built_is_failed_and_its_worker_goes_on() {
    let stage = stage().await;
    let panics = Counter::watch("gs_match_panics_total");
    let broken = start(&stage, PANICS_WHEN_BUILT);
    eventually("the directory shows the failure", || {
        stage.summary(broken).state == SessionState::Failed
    })
    .await;
    assert_eq!(panics.increase(), 1);
    let sound = start(&stage, SOUND);
    Witnesses::play::<Fragile>(&stage, sound, 0..1)
        .await
        .leave()
        .await;
}

/// Admission and the end of a match are decided by different threads, so somebody may be sent
/// into a match that has just gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_player_who_comes_too_late_is_told_so() {
    let stage = stage().await;
    let broken = start(&stage, PANICS_WHEN_BUILT);
    stage
        .shows(broken, "the failure", |facts| {
            facts.state == SessionState::Failed
        })
        .await;
    let (outside, inside) = connect_past_the_gateway().await;
    let entrant = Entrant {
        player: stage.new_player(),
        display_name: "late".to_owned(),
        seat: Seat(0),
        connection_id: ConnectionId(0),
        connection: inside.clone(),
    };
    assert_eq!(stage.host.enter(broken, entrant), Ok(true));
    let end = within(outside.wait_closed()).await;
    assert_eq!(end.code, CloseCode::MatchOver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_system_that_fails_in_every_tick_is_counted_and_ends_nothing() {
    let stage = stage().await;
    let (errors, panics) = (
        Counter::watch("gs_system_errors_total"),
        Counter::watch("gs_match_panics_total"),
    );
    let failing = start(&stage, FAILS);
    let witnesses = Witnesses::play::<Fragile>(&stage, failing, 0..1).await;
    let before = errors.increase();
    witnesses.see_the_match_go_on().await;
    assert!(errors.increase() > before);
    assert_eq!(panics.increase(), 0);
    assert!(stage.summary(failing).state.is_joinable());
    witnesses.leave().await;
}
