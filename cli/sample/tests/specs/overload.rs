//! The real binary without time for anybody: what the lobby answers, and what a load run tells of
//! it.

use std::time::Duration;

use gameserver_client_sim::lobby::LobbyError;
use gameserver_contract::session::{CreateSession, JoinSession};
use serde_json::Value;

use crate::support::{PROGRAM, Process, eventually, guest, run};

/// `dev` that is above its limit from the first measurement of a match on.
fn full_server() -> (Process, String) {
    let arguments = [
        "dev",
        "--ephemeral",
        "--no-bots",
        "--port-http",
        "0",
        "--port-game",
        "0",
    ];
    let full = [("GAMESERVER__INSTANCE__BUDGET_MAX_PERCENT", "1")];
    let mut process = PROGRAM.start(&arguments, &full);
    let line = process.wait_for_line("REST API");
    let mut words = line.split_whitespace();
    let base = words.find(|word| word.starts_with("http://"));
    let api = base.and_then(|url| url.strip_suffix("/api/v1"));
    let api = api.expect("the API's address").to_owned();
    (process, api)
}

#[tokio::test]
async fn a_join_without_time_for_it_is_answered_with_retry_after() {
    let (_server, api) = full_server();
    let ann = guest(&api).await;
    let arena = CreateSession {
        game: "arena".to_owned(),
        ..CreateSession::default()
    };
    let session = ann.create_session(&arena).await.expect("a session");
    // Joins before the first measurement may still be granted by the lobby. Who got a seat so gets
    // it again, so each one who asks is new.
    let refusal = eventually("joins are refused", || async {
        let late = guest(&api).await;
        match late.join(session.id, &JoinSession::default()).await {
            Err(LobbyError::Refused(refusal)) if refusal.problem.code != "session.full" => {
                Some(refusal)
            }
            Ok(_) | Err(LobbyError::Refused(_)) => None,
            Err(other) => panic!("no answer: {other}"),
        }
    })
    .await;
    assert_eq!(refusal.problem.code, "session.overloaded");
    assert_eq!(refusal.problem.status, 503);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(2)));
}

#[test]
fn a_load_run_tells_how_fast_it_was_refused_and_whether_it_was_told_when_to_come_back() {
    let (_server, api) = full_server();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    let json = path.to_str().expect("a plain path");
    let few = ["load", "--players", "24", "--ramp", "2", "--seconds", "2"];
    let gates = [
        "--gate",
        "refused_without_retry=0",
        "--gate",
        "refused_ms_p99=10000",
    ];
    let there = ["--api", &api, "--no-metrics", "--report", json];
    let all = [&few[..], &there, &gates].concat();
    let (_, _, err) = run(&all, &[]);
    let report = std::fs::read(&path).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let totals = &report["totals"];
    let count = |name: &str| totals[name].as_u64().expect("a count");
    // Those who come in the half second before the first measurement are let in.
    assert!(count("refused") > 0, "{err}");
    assert_eq!(count("connected") + count("refused"), 24, "{err}");
    assert_eq!(totals["refused_saying_when"], totals["refused"], "{err}");
    assert_eq!(report["latency"]["refusal_ms"]["count"], totals["refused"]);
    for gate in report["gates"].as_array().expect("gates") {
        assert_eq!(gate["passed"], true, "{gate}");
    }
    let ends = report["ends"].as_array().expect("ends");
    let why = |end: &Value| end["why"].as_str().expect("a reason").to_owned();
    let refused = ends.iter().map(why).filter(|why| why.starts_with("not"));
    for why in refused {
        assert!(why.ends_with("overloaded"), "{why}");
    }
}
