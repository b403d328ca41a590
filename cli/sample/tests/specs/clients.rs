//! The clients in other languages against the real binary: Python's bot, JavaScript's bot, and the
//! console in a browser.
//!
//! All that is known of them here is how they are called, and that they end with 0 when all is
//! well. `cargo xtask test` installs the programs that run them.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::replays::{recorded, serve};
use crate::support::{PROGRAM, root, turn};

const PYTHON: &str = "GAMESERVER_TEST_PYTHON";
const NODE: &str = "GAMESERVER_TEST_NODE";
const CHROMIUM: &str = "GAMESERVER_TEST_CHROMIUM";
/// Longest run of a client that plays for so many seconds as it is told.
const BOT_LIMIT: Duration = Duration::from_secs(90);
/// Longest run of all tests in a browser.
const BROWSER_LIMIT: Duration = Duration::from_mins(5);
/// 20 a second over 30 seconds are 600: half of them shows that they kept coming.
const SNAPSHOTS_MIN: u64 = 300;

/// The program that `cargo xtask test` names in this variable.
fn program(variable: &str) -> OsString {
    let path = std::env::var_os(variable);
    assert!(
        path.is_some(),
        "{variable} is not set: run cargo xtask test, which installs the program and names it"
    );
    path.unwrap_or_default()
}

/// Runs a client in the repository's root to its end, which must be a good one, and gives what it
/// has printed.
async fn run(
    variable: &str,
    arguments: &[&str],
    variables: &[(&str, OsString)],
    limit: Duration,
) -> String {
    let mut printed = tempfile::tempfile().expect("a temporary file");
    let handle = || Stdio::from(File::try_clone(&printed).expect("a second handle"));
    let mut child = Command::new(program(variable))
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(handle())
        .stderr(handle())
        .kill_on_drop(true)
        .spawn()
        .expect("the client can be started");
    let ended = tokio::time::timeout(limit, child.wait()).await;
    let mut text = String::new();
    printed.rewind().expect("a file");
    printed.read_to_string(&mut text).expect("text");
    let is_good = matches!(&ended, Ok(Ok(status)) if status.success());
    assert!(is_good, "{arguments:?} ended with {ended:?}:\n{text}");
    text
}

async fn python_bot(api: &str, transport: &str) -> serde_json::Value {
    let arguments = [
        "tests/python/bot.py",
        "--api",
        api,
        "--session",
        "running",
        "--transport",
        transport,
        "--seconds",
        "30",
        "--must-score",
    ];
    let printed = run(PYTHON, &arguments, &[], BOT_LIMIT).await;
    let report = printed.lines().last().expect("a report");
    serde_json::from_str(report).expect("one line of JSON")
}

/// Both at once, against the bots of a sample session, so that the test takes half a minute.
#[tokio::test]
async fn a_client_in_python_kills_over_websocket_and_over_quic() {
    let (_dev, api) = PROGRAM.dev(&[]);
    let reports = tokio::join!(python_bot(&api, "websocket"), python_bot(&api, "quic"));
    for report in [reports.0, reports.1] {
        println!("{report}");
        assert!(
            report["snapshots"].as_u64() >= Some(SNAPSHOTS_MIN),
            "{report}"
        );
        assert_eq!(report["close"], "consented: left", "{report}");
    }
}

#[tokio::test]
async fn the_example_of_the_javascript_client_plays() {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let bot = "sdk/javascript/examples/bot.mjs";
    let arguments = ["--experimental-websocket", bot, &api, "10"];
    let printed = run(NODE, &arguments, &[], BOT_LIMIT).await;
    println!("{printed}");
    assert!(printed.contains("over websocket"), "{printed}");
}

#[tokio::test]
async fn the_console_works_in_a_browser() {
    let _turn = turn();
    let (_dev, api) = PROGRAM.dev(&[]);
    // Node 20 takes a folder and Node 22 a pattern: both take the names.
    let arguments = [
        "--test",
        "tests/browser/arena.test.mjs",
        "tests/browser/console.test.mjs",
    ];
    let variables = [
        ("GAMESERVER_URL", OsString::from(&api)),
        ("EXPECT_TRANSPORT", OsString::from("webtransport")),
        ("CHROMIUM", program(CHROMIUM)),
    ];
    let printed = run(NODE, &arguments, &variables, BROWSER_LIMIT).await;
    println!("{printed}");
}

/// Runs files of `tests/browser` against a server of their own.
#[expect(
    clippy::print_stdout,
    reason = "the test harness shows it when something failed"
)]
async fn in_a_browser(files: &[&str]) {
    let _turn = turn();
    let (_dev, api) = PROGRAM.dev(&[]);
    let variables = [
        ("GAMESERVER_URL", OsString::from(&api)),
        ("CHROMIUM", program(CHROMIUM)),
    ];
    let arguments: Vec<_> = ["--test"].iter().chain(files).copied().collect();
    let printed = run(NODE, &arguments, &variables, BROWSER_LIMIT).await;
    println!("{printed}");
}

#[tokio::test]
async fn eight_tabs_of_the_console_share_one_stream_and_one_login() {
    in_a_browser(&["tests/browser/tabs.test.mjs"]).await;
}

#[tokio::test]
async fn the_console_works_behind_a_path_in_an_old_browser_and_when_udp_stops() {
    in_a_browser(&["tests/browser/paths.test.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_served_plays_in_a_browser() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let (_, log) = recorded(folder.path()).await;
    let (_serve, page) = serve(&log);
    let arguments = ["--test", "tests/browser/recording.test.mjs"];
    let variables = [
        ("RECORDING_URL", OsString::from(&page)),
        ("CHROMIUM", program(CHROMIUM)),
    ];
    let printed = run(NODE, &arguments, &variables, BROWSER_LIMIT).await;
    println!("{printed}");
}
