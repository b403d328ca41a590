//! What a newcomer does: one command, a few pasted lines, bots.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{self, PROGRAM, guest, root, run};

#[tokio::test]
async fn dev_is_ready_within_ten_seconds_and_ends_cleanly_on_ctrl_c() {
    let began = Instant::now();
    let (mut dev, api) = PROGRAM.dev(&[]);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let ann = guest(&api).await;
    let samples = support::eventually("two sample sessions with four bots each", || async {
        let sessions = ann.sessions("arena").await.expect("a list");
        let full = sessions
            .iter()
            .filter(|session| session.players == 4)
            .count();
        (full == 2).then_some(sessions)
    })
    .await;
    assert!(
        samples
            .iter()
            .all(|session| session.name.starts_with("Sample arena"))
    );
    dev.signal("INT");
    assert_eq!(dev.wait_for_exit().code(), Some(0));
}

#[test]
fn the_lines_of_the_readme_work_as_they_stand() {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let script: String = readme
        .split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .filter(|block| block.contains("curl "))
        .collect();
    assert!(script.contains("/join"), "the README shows how to join");
    let script = script.replace("http://127.0.0.1:8080", &api);
    let ran = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("no_proxy", "*")
        .output();
    let ran = ran.expect("bash runs");
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{out}\n{err}");
    assert!(out.contains("\"ticket\""), "{out}");
    assert!(
        out.contains("\"players\":1"),
        "the list shows one seat taken: {out}"
    );
}

#[test]
fn bots_print_a_table_and_write_a_report() {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    let report = report.to_str().expect("a plain path");
    let arguments = [
        "bots",
        "--players",
        "2",
        "--seconds",
        "6",
        "--api",
        &api,
        "--report",
        report,
    ];
    let (code, out, err) = run(&arguments, &[]);
    assert_eq!(code, 0, "{err}");
    for column in [
        "transport",
        "RTT ms",
        "snapshots/s",
        "mispredicted",
        "kills",
        "score",
    ] {
        assert!(out.contains(column), "{out}");
    }
    let json = std::fs::read(report).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(report["players"], 2);
    assert_eq!(report["disconnects"], 0);
}

#[test]
fn bots_say_what_to_do_when_there_is_no_server() {
    let (code, _, err) = run(&["bots", "--api", "http://127.0.0.1:9"], &[]);
    assert_eq!(code, 1);
    assert!(
        err.contains("failed to reach the API at http://127.0.0.1:9"),
        "{err}"
    );
}
