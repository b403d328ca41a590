//! Recorded matches: an instance serves those of its earlier runs, and the `replay` command reads
//! them whole, torn and changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{self, CONTROL_SECRET, Cluster, PROGRAM, Process, guest, run};
use game_arena::Arena;
use gameserver_client_sim::bots::{self, BotsConfig, Target};
use gameserver_conditions::NetworkConditions;
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::{CreateSession, Session, SessionState};
use gameserver_server::match_log::folder::{COMPLETE, UNFINISHED};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// A log of this length has played for a while.
const BYTES_OF_A_BEGUN_MATCH: u64 = 6_000;

fn arena() -> CreateSession {
    CreateSession {
        game: "arena".to_owned(),
        mode: Some("practice".to_owned()),
        ..CreateSession::default()
    }
}

/// Two bots play in a session. It ends soon after they have left, for lack of players.
async fn play(api: &str, session: SessionId, duration: Duration) {
    let config = BotsConfig {
        api: api.to_owned(),
        players: 2,
        duration,
        target: Target::Session(session),
        transport: None,
        conditions: NetworkConditions::NONE,
        seed: 3,
        threads: 1,
    };
    // Bots whose instance is killed fail, and that is right.
    let _ = bots::run::<Arena>(&config, &CancellationToken::new(), |_| {}).await;
}

/// A match of some seconds, over.
async fn played_match(api: &str) -> Session {
    let host = guest(api).await;
    let session = host.create_session(&arena()).await.expect("a session");
    play(api, session.id, Duration::from_secs(6)).await;
    reached(api, session.id, SessionState::Ended).await
}

async fn reached(api: &str, session: SessionId, state: SessionState) -> Session {
    let ann = guest(api).await;
    support::eventually(state.as_str(), || async {
        let session = ann.session(session).await.expect("a session");
        (session.state == state).then_some(session)
    })
    .await
}

struct Served {
    status: u16,
    complete: Option<String>,
    bytes: Vec<u8>,
}

/// What a guest gets who asks for a session's replay.
async fn replay(api: &str, session: SessionId) -> Served {
    let http = support::http();
    let login = http.post(format!("{api}/api/v1/auth/guest"));
    let login = login.json(&serde_json::json!({})).send().await;
    let login: Value = login.expect("an answer").json().await.expect("a login");
    let token = login["access_token"].as_str().expect("a token");
    let wanted = http.get(format!("{api}/api/v1/sessions/{session}/replay"));
    let answer = wanted.bearer_auth(token).send().await.expect("an answer");
    let complete = answer.headers().get("x-replay-complete");
    Served {
        status: answer.status().as_u16(),
        complete: complete.map(|value| value.to_str().expect("a text").to_owned()),
        bytes: answer.bytes().await.expect("the log").to_vec(),
    }
}

fn recording(folder: &Path) -> (&'static str, &str) {
    let folder = folder.to_str().expect("a readable path");
    ("GAMESERVER__INSTANCE__REPLAYS_FOLDER", folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_was_killed_serves_the_replays_of_its_earlier_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = [recording(folder.path())];
    let mut cluster = Cluster::start_with(&recording);
    let api = cluster.url.clone();
    let ended = played_match(&api).await;
    let before = replay(&api, ended.id).await;
    assert_eq!(
        (before.status, before.complete.as_deref()),
        (200, Some("true"))
    );
    let running = begun_match(&api, folder.path()).await;
    cluster.instance.signal("KILL");
    cluster.instance.wait_for_exit();
    cluster.start_another_instance(&recording);
    let after = replay(&api, ended.id).await;
    assert_eq!(
        (after.status, after.complete.as_deref()),
        (200, Some("true"))
    );
    assert!(after.bytes == before.bytes);
    reached(&api, running, SessionState::Failed).await;
    let broken = replay(&api, running).await;
    assert_eq!(
        (broken.status, broken.complete.as_deref()),
        (200, Some("false"))
    );
    let file = folder.path().join("downloaded.gslog");
    fs::write(&file, &broken.bytes).expect("a file");
    let (code, out, _) = verify(&file);
    assert!(
        out.contains("verified up to tick") && out.contains("the match did not end"),
        "{out}"
    );
    assert_eq!(code, 4);
}

/// The session of a match that is being recorded.
async fn begun_match(api: &str, folder: &Path) -> SessionId {
    let host = guest(api).await;
    let session = host.create_session(&arena()).await.expect("a session");
    let (api, id) = (api.to_owned(), session.id);
    tokio::spawn(async move { play(&api, id, Duration::from_mins(1)).await });
    let log = folder.join(format!("{}{UNFINISHED}", session.match_id));
    support::eventually("the match is recorded", || async {
        let length = fs::metadata(&log).map_or(0, |found| found.len());
        (length > BYTES_OF_A_BEGUN_MATCH).then_some(())
    })
    .await;
    session.id
}

#[tokio::test]
async fn a_second_instance_in_the_same_folder_ends_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = recording(folder.path());
    let _cluster = Cluster::start_with(&[recording]);
    let secret = ("GAMESERVER__CONTROL__SECRET", CONTROL_SECRET);
    let (code, _, err) = run(&["instance"], &[secret, recording]);
    assert_eq!(code, 1);
    assert!(
        err.contains("another running instance keeps its match logs in"),
        "{err}"
    );
    assert!(err.contains("give each one a folder of its own"), "{err}");
}

/// The log of a match that was played to its end.
pub(crate) async fn recorded(folder: &Path) -> (Session, PathBuf) {
    let cluster = Cluster::start_with(&[recording(folder)]);
    let session = played_match(&cluster.url).await;
    let log = folder.join(format!("{}{COMPLETE}", session.match_id));
    support::eventually("the log is complete", || async {
        log.exists().then_some(())
    })
    .await;
    (session, log)
}

fn replay_command(action: &str, file: &Path, more: &[&str]) -> (i32, String, String) {
    let file = file.to_str().expect("a readable path");
    run(&[&["replay", action, file], more].concat(), &[])
}

fn verify(file: &Path) -> (i32, String, String) {
    replay_command("verify", file, &[])
}

fn info(file: &Path) -> Value {
    let (code, out, err) = replay_command("info", file, &["--json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replay_command_reads_a_log_whole_torn_and_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (session, log) = recorded(folder.path()).await;
    let bytes = fs::read(&log).expect("the log");
    tells_of_a_whole_log(&session, &log);
    exports_every_tick(&log);
    let changed = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("a file");
        file
    };
    let torn = changed("torn", &bytes[..bytes.len() * 2 / 3]);
    tells_of_a_torn_log(&torn, &log);
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    tells_of_a_flipped_byte(&changed("flipped", &flipped), &log);
    let other = changed("other", b"something else");
    refuses_what_is_no_log(&other);
    tells_what_is_worst(&log, &torn, &other);
    refuses_what_is_no_log(&changed("beginning", &bytes[..40]));
    is_served_with_a_page_that_plays_it(&log, &bytes).await;
}

fn tells_of_a_whole_log(session: &Session, log: &Path) {
    let (code, out, _) = replay_command("info", log, &[]);
    assert_eq!(code, 0);
    for told in [
        &session.match_id.to_string(),
        "arena, practice",
        "seat 0",
        "seat 1",
    ] {
        assert!(out.contains(told), "{told} is missing in\n{out}");
    }
    assert!(!out.contains("damaged"), "{out}");
    let info = info(log);
    assert_eq!(info["complete"], true);
    assert_eq!(info["whole_to_tick"], info["last_tick"]);
    assert_eq!(info["result"]["match_id"], session.match_id.to_string());
    let (code, out, err) = verify(log);
    assert_eq!(code, 0, "{out}{err}");
    let ticks = format!("verified, {} ticks", info["ticks"]);
    assert!(out.contains(&ticks), "{out}");
}

fn exports_every_tick(log: &Path) {
    let (code, out, _) = replay_command("export", log, &["--json", "-"]);
    assert_eq!(code, 0);
    let lines = || {
        out.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
    };
    let ticks = lines().filter(|line| line.get("tick").is_some()).count();
    assert_eq!(ticks as u64, info(log)["ticks"].as_u64().expect("a number"));
    assert!(
        lines()
            .next()
            .is_some_and(|first| first.get("header").is_some())
    );
    assert!(
        lines()
            .next_back()
            .is_some_and(|last| last.get("footer").is_some())
    );
}

/// Cut off, a log is good up to there: nobody changed it.
fn tells_of_a_torn_log(torn: &Path, log: &Path) {
    let (whole, rest) = (info(log), info(torn));
    assert_eq!(rest["complete"], false);
    assert!(rest["whole_to_tick"].as_u64() < whole["whole_to_tick"].as_u64());
    assert_eq!(rest["damages"][0]["what"], "the file ends inside a block");
    let (_, out, _) = replay_command("info", torn, &[]);
    assert!(
        out.contains("the match did not end, or the file is cut off"),
        "{out}"
    );
    let (code, out, err) = verify(torn);
    assert_eq!(code, 4, "{out}{err}");
    let ticks = format!("verified up to tick {}, damaged", rest["whole_to_tick"]);
    assert!(
        out.contains(&ticks) && out.contains("there is no end"),
        "{out}"
    );
}

fn tells_of_a_flipped_byte(flipped: &Path, log: &Path) {
    let (whole, rest) = (info(log), info(flipped));
    assert!(rest["whole_to_tick"].as_u64() < whole["whole_to_tick"].as_u64());
    let what = rest["damages"][0]["what"].as_str().expect("a text");
    // Whichever the byte in the middle of this log belongs to.
    assert!(
        [
            "a block's checksum is wrong",
            "a block's header makes no sense"
        ]
        .contains(&what),
        "{what}"
    );
    let (code, out, err) = verify(flipped);
    assert_eq!(code, 4, "{out}");
    let ticks = format!("verified up to tick {}, damaged", rest["whole_to_tick"]);
    assert!(out.contains(&ticks), "{out}");
    assert!(out.contains(what), "{out}");
    assert!(err.contains("1 of 1 logs are not verified"), "{err}");
    let (code, out, _) = replay_command("export", flipped, &["--json", "-"]);
    assert!(
        code == 0 && out.lines().any(|line| line.starts_with("{\"lost\"")),
        "{out}"
    );
}

fn refuses_what_is_no_log(file: &Path) {
    for (action, more) in [
        ("info", &[][..]),
        ("export", &["--json", "-"]),
        ("serve", &[]),
    ] {
        let (code, _, err) = replay_command(action, file, more);
        assert_eq!(code, 1, "{action}: {err}");
        assert!(
            err.contains(&format!("failed to read {}", file.display())),
            "{err}"
        );
    }
    let (code, out, _) = verify(file);
    assert_eq!(code, 6);
    assert!(out.contains("not a match log"), "{out}");
}

/// Of several logs the worst decides.
fn tells_what_is_worst(log: &Path, torn: &Path, other: &Path) {
    let code_of = |files: &[&Path]| {
        let files = files.iter().map(|file| file.to_str().expect("a path"));
        let arguments: Vec<_> = ["replay", "verify"].into_iter().chain(files).collect();
        run(&arguments, &[]).0
    };
    assert_eq!(code_of(&[log, log]), 0);
    assert_eq!(code_of(&[log, torn]), 4);
    assert_eq!(code_of(&[other, torn]), 6);
    assert_eq!(code_of(&[Path::new("/nowhere"), log]), 1);
}

/// `replay serve` with this log, and the address of its page.
pub(crate) fn serve(log: &Path) -> (Process, String) {
    let file = log.to_str().expect("a readable path");
    let mut serve = PROGRAM.start(&["replay", "serve", file, "--port", "0"], &[]);
    let line = serve.wait_for_line("in a browser");
    let page = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"));
    let page = page.expect("the page's address").to_owned();
    (serve, page)
}

async fn is_served_with_a_page_that_plays_it(log: &Path, bytes: &[u8]) {
    let (mut serve, page) = serve(log);
    let http = support::http();
    for (path, text) in [("", "\"recording.js\""), ("recording.js", "recordingView")] {
        let answer = http
            .get(format!("{page}{path}"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers().contains_key("content-security-policy"));
        assert!(answer.text().await.expect("text").contains(text), "{path}");
    }
    let part = http
        .get(format!("{page}replay"))
        .header("range", "bytes=8-99");
    let part = part.send().await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.expect("bytes"), bytes[8..100]);
    let nothing = http.get(format!("{page}api/v1/me")).send().await;
    assert_eq!(nothing.expect("an answer").status(), 404);
    serve.signal("INT");
    assert_eq!(serve.wait_for_exit().code(), Some(0));
}
