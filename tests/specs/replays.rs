//! Recorded matches come out the same when they are simulated again, and a log that was changed
//! does not.

use std::path::Path;

use game_arena::{Arena, ArenaInput};
use gameserver_contract::ids::{MatchId, PlayerId, Seat};
use gameserver_contract::session::SessionState;
use gameserver_contract::session::TransportKind::WebSocket;
use gameserver_control::result_signature;
use gameserver_server::HostedGames;
use gameserver_server::host::MatchSummary;
use gameserver_server::replay::{Evidence, Verdict, VerifyReport, verify, verify_from};
use gameserver_stream::log::record::log_claim;
use gameserver_stream::log::{DamageKind, Item, LogReader, Record, SeatChange};
use gameserver_tests::cable::Cable;
use gameserver_tests::patience::eventually;
use gameserver_tests::raw_player::RawPlayer;
use gameserver_tests::recording::{end_and_read, path_of, play, rewrite};
use gameserver_tests::stage::Stage;
use gameserver_tests::witness::Witnesses;
use gameserver_transport::close::CloseCode;
use tempfile::TempDir;

/// The key that the stage's matches sign with.
const RESULT_KEY: [u8; 32] = [7; 32];
/// Ticks that hold a key frame in their middle: it is taken at tick 300.
const TICKS_WITH_A_KEY_FRAME: u64 = 420;

fn arena() -> HostedGames {
    let games = HostedGames::default().with::<Arena>();
    games.expect("arena is consistent")
}

fn verified(log: &[u8]) -> VerifyReport {
    verify(log, &arena()).expect("the match can be simulated")
}

fn start_practice(stage: &Stage) -> MatchId {
    stage.start_match_in_mode("arena", "practice", 1, 8)
}

/// A match of two bots that was ended while they played.
async fn recorded(folder: &Path, ticks: u64) -> Vec<u8> {
    let stage = Stage::recording(arena(), 1, folder);
    let id = start_practice(&stage);
    play::<Arena>(&stage, &[id], 2, ticks).await;
    end_and_read(&stage, folder, id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_recorded_matches_come_out_the_same_when_they_are_simulated_again() {
    let folder = TempDir::new().expect("a folder");
    let stage = Stage::recording(arena(), 2, folder.path());
    let matches: Vec<_> = (0..10).map(|_| start_practice(&stage)).collect();
    play::<Arena>(&stage, &matches, 2, TICKS_WITH_A_KEY_FRAME).await;
    for id in matches {
        let log = end_and_read(&stage, folder.path(), id).await;
        let report = verified(&log);
        assert_eq!(report.verdict(), Verdict::Verified, "{report:?}");
        assert!(u64::from(report.ticks_equal) >= TICKS_WITH_A_KEY_FRAME);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_match_goes_on_from_each_of_its_key_frames_as_it_did() {
    let folder = TempDir::new().expect("a folder");
    let log = recorded(folder.path(), TICKS_WITH_A_KEY_FRAME).await;
    let reader = LogReader::open(&log).expect("a log");
    let keys: Vec<_> = reader.key_blocks().collect();
    assert!(!keys.is_empty());
    for block in keys {
        let report = verify_from(&reader, block, &arena()).expect("it can be simulated");
        assert_eq!(report.verdict(), Verdict::Verified, "{report:?}");
        assert!(report.ticks_equal > 60, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_input_that_was_changed_is_found_at_its_tick_and_where_it_shows() {
    let folder = TempDir::new().expect("a folder");
    let log = recorded(folder.path(), 200).await;
    let same = rewrite(&log, &mut |_, _, _| None);
    let report = verified(&same);
    // The copy has no end.
    let verdict = Verdict::VerifiedUpTo(report.last_tick);
    assert_eq!(report.verdict(), verdict, "{report:?}");
    let turned = ArenaInput {
        aim: 12_345,
        stick_x: 3,
        ..ArenaInput::default()
    };
    let mut forged_at = None;
    let forged = rewrite(&log, &mut |tick, _, _| {
        let here = tick > 100 && forged_at.is_none();
        here.then(|| {
            forged_at = Some(tick);
            encoded(turned)
        })
    });
    let report = verified(&forged);
    assert_eq!(report.verdict(), Verdict::Differs, "{report:?}");
    let divergence = report.divergence.expect("it comes out otherwise");
    assert_eq!(Some(divergence.tick), forged_at);
    assert_eq!(divergence.component, "Body");
    assert_eq!(report.last_tick + 1, divergence.tick);
}

/// The last tick and the last snapshot of a log.
fn ends_at(log: &[u8]) -> (u32, u32) {
    let reader = LogReader::open(log).expect("a log");
    let (mut last_tick, mut last_snapshot) = (0, 0);
    let mut playback = reader.play();
    while let Some(item) = playback.next_item() {
        match item {
            Item::Record(Record::Tick(record)) => last_tick = record.tick,
            Item::Record(Record::Snapshot { tick, .. }) => last_snapshot = tick,
            Item::Record(_) | Item::Damaged(_) => {}
        }
    }
    (last_tick, last_snapshot)
}

/// Snapshots are made every third tick, and a match is decided in any.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_replay_shows_the_tick_that_decided_its_match() {
    let folder = TempDir::new().expect("a folder");
    let stage = Stage::recording(arena(), 1, folder.path());
    for _ in 0..4 {
        let id = stage.start_match("arena", 2, 2);
        let stays = RawPlayer::join(&stage, &stage.join(id, 0), WebSocket).await;
        let leaves = RawPlayer::join(&stage, &stage.join(id, 1), WebSocket).await;
        let runs = |hosted: &MatchSummary| hosted.state == SessionState::Running;
        stage.shows(id, "play has begun", runs).await;
        leaves.connection.close(CloseCode::Consented, "enough");
        assert_eq!(stays.closed().await.code, CloseCode::MatchOver);
        let log = path_of(folder.path(), id);
        eventually("the log is complete", || log.exists()).await;
        let log = std::fs::read(log).expect("the log can be read");
        let (last_tick, last_snapshot) = ends_at(&log);
        assert_eq!(last_snapshot, last_tick);
        assert_eq!(verified(&log).verdict(), Verdict::Verified);
    }
}

fn encoded(input: ArenaInput) -> Vec<u8> {
    rmp_serde::to_vec(&input).expect("memory takes every write")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_match_that_players_left_resumed_and_were_kicked_from_comes_out_the_same() {
    let folder = TempDir::new().expect("a folder");
    let stage = Stage::recording(arena(), 1, folder.path());
    let id = start_practice(&stage);
    let fighters = Witnesses::play::<Arena>(&stage, id, 0..2).await;
    let mut answer = stage.join(id, 2);
    let offers = answer.transports.clone();
    let cable = Cable::plug_in(&mut answer).await;
    let away = RawPlayer::join(&stage, &answer, WebSocket).await;
    away.receive().await;
    cable.pull();
    fighters.see_the_match_go_on().await;
    let token = &away.welcome.resume_token;
    let back = RawPlayer::resume(&stage, &offers, token, WebSocket).await;
    let back = back.expect("the seat is held");
    let kicked = kick_a_newcomer(&stage, id).await;
    fighters.see_the_match_go_on().await;
    back.connection.close(CloseCode::Consented, "enough");
    fighters.see_the_match_go_on().await;
    fighters.leave().await;
    let log = end_and_read(&stage, folder.path(), id).await;
    let report = verified(&log);
    assert_eq!(report.verdict(), Verdict::Verified, "{report:?}");
    let (joined, left) = seats_taken_and_given_up(&log);
    assert_eq!(joined, [0, 1, 2, 3].map(Seat), "a resume is no join");
    assert!(left.iter().any(|row| row.0 == Seat(2)), "{left:?}");
    assert!(left.contains(&(Seat(3), kicked)), "{left:?}");
}

async fn kick_a_newcomer(stage: &Stage, id: MatchId) -> PlayerId {
    let player = stage.new_player();
    let answer = stage.join_answer(&stage.ticket(id, player, 3));
    let newcomer = RawPlayer::join(stage, &answer, WebSocket).await;
    newcomer.receive().await;
    let kicked = stage.host.kick(id, player, "afk".to_owned());
    assert_eq!(kicked, Ok(true));
    assert_eq!(newcomer.closed().await.code, CloseCode::Kicked);
    player
}

type Left = Vec<(Seat, PlayerId)>;

fn seats_taken_and_given_up(log: &[u8]) -> (Vec<Seat>, Left) {
    let reader = LogReader::open(log).expect("a log");
    let (mut joined, mut left) = (Vec::new(), Vec::new());
    let mut playback = reader.play();
    while let Some(item) = playback.next_item() {
        let Item::Record(Record::Tick(tick)) = item else {
            continue;
        };
        for change in tick.changes {
            match change {
                SeatChange::Joined { seat, .. } => joined.push(seat),
                SeatChange::Left { seat, player } => left.push((seat, player)),
            }
        }
    }
    joined.sort_unstable();
    (joined, left)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_torn_log_is_verified_up_to_its_last_whole_tick_and_says_so() {
    let folder = TempDir::new().expect("a folder");
    let log = recorded(folder.path(), 200).await;
    let whole = verified(&log);
    for length in [log.len() - 1, log.len() * 3 / 4, log.len() / 2] {
        let report = verified(&log[..length]);
        assert_eq!(report.divergence, None);
        assert_eq!(report.evidence, Evidence::Unsealed);
        assert_eq!(report.damages[0].kind, DamageKind::Torn);
        assert!(report.last_tick <= whole.last_tick && report.last_tick > 0);
        let verdict = Verdict::VerifiedUpTo(report.last_tick);
        assert_eq!(report.verdict(), verdict, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_block_costs_the_ticks_up_to_the_next_key_frame_only() {
    let folder = TempDir::new().expect("a folder");
    let mut log = recorded(folder.path(), TICKS_WITH_A_KEY_FRAME).await;
    let reader = LogReader::open(&log).expect("a log");
    let entry = reader.blocks()[5];
    let last = verified(&log).last_tick;
    log[entry.offset + 60] ^= 0xff;
    let report = verified(&log);
    assert_eq!(report.divergence, None, "{report:?}");
    assert_eq!(report.damages[0].kind, DamageKind::Checksum);
    assert_eq!(report.missing, [(entry.header.first_tick, 300)]);
    assert_eq!(report.last_tick, last);
    assert_eq!(report.evidence, Evidence::Broken);
    let whole_to = entry.header.first_tick - 1;
    assert_eq!(report.verdict(), Verdict::VerifiedUpTo(whole_to));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_flipped_bit_and_no_cut_leaves_a_log_verified() {
    const PLACES: usize = 48;
    let folder = TempDir::new().expect("a folder");
    let log = recorded(folder.path(), 120).await;
    assert_eq!(verified(&log).verdict(), Verdict::Verified);
    for place in 0..PLACES {
        let at = (log.len() - 1) * place / (PLACES - 1);
        let mut flipped = log.clone();
        flipped[at] ^= 1 << (place % 8);
        let damaged = [&flipped[..], &log[..at]];
        let verdicts = damaged.map(|log| verify(log, &arena()).map(|report| report.verdict()));
        for verdict in verdicts.into_iter().flatten() {
            assert_ne!(verdict, Verdict::Verified, "byte {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_end_of_a_log_is_signed_with_the_key_of_the_match() {
    let folder = TempDir::new().expect("a folder");
    let log = recorded(folder.path(), 30).await;
    let reader = LogReader::open(&log).expect("a log");
    let footer = reader.footer().expect("the match has ended");
    let verify = result_signature::verify;
    let claim = log_claim(&footer.sha256);
    assert!(verify(&RESULT_KEY, &claim, &footer.log_signature));
    let signature = &footer.result_signature;
    assert!(verify(&RESULT_KEY, &footer.result, signature));
    assert!(!verify(&[8; 32], &claim, &footer.log_signature));
}

/// The promise: a player's hour is at most a megabyte and a half, what watchers are shown included.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_hour_of_a_player_is_at_most_a_megabyte_and_a_half() {
    let folder = TempDir::new().expect("a folder");
    let stage = Stage::recording(arena(), 1, folder.path());
    let id = start_practice(&stage);
    play::<Arena>(&stage, &[id], 8, 600).await;
    let log = end_and_read(&stage, folder.path(), id).await;
    let ticks = verified(&log).last_tick;
    let player_hours = f64::from(ticks) / 60.0 / 3_600.0 * 8.0;
    let bytes_per_player_hour = log.len() as f64 / player_hours;
    println!(
        "{} bytes, {bytes_per_player_hour:.0} a player's hour",
        log.len()
    );
    assert!(
        bytes_per_player_hour <= 1_500_000.0,
        "{bytes_per_player_hour}"
    );
}
