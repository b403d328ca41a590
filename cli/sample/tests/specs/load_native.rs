//! `gameserver load` with native players against the real binary: light ones play as clients do,
//! and canaries among them find nothing wrong.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{PROGRAM, Process, fetch, run, turn};

/// Changes of a seat's input that only somebody who plays all the time makes in a few seconds.
const CHANGES_OF_A_PLAYER: usize = 60;

/// A server that records its matches into this folder.
fn server(replays: &Path) -> (Process, String, String) {
    let replays = replays.to_str().expect("a plain path");
    let arguments = ["dev", "--ephemeral", "--no-bots"];
    let ports = ["--port-http", "0", "--port-game", "0"];
    let mut dev = PROGRAM.start(
        &[&arguments[..], &ports].concat(),
        &[("GAMESERVER__INSTANCE__REPLAYS_FOLDER", replays)],
    );
    let mut address = |line: &str| {
        let line = dev.wait_for_line(line);
        let mut words = line.split_whitespace();
        words
            .find(|word| word.starts_with("http://"))
            .map(str::to_owned)
    };
    let api = address("REST API").expect("an address");
    let metrics = address("metrics ").expect("an address");
    let api = api.strip_suffix("/api/v1").expect("the API").to_owned();
    (dev, api, metrics)
}

/// Lets players of arena play in two matches, six seconds after all have come: the report.
fn load(players: &[&str], (api, metrics): (&str, &str)) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    let report = report.to_str().expect("a plain path");
    let crowd = ["load", "--game", "arena", "--matches", "2"];
    let how_long = ["--ramp", "2", "--seconds", "6"];
    let gates = ["--gate", "disconnects=0", "--gate", "wrong_states=0"];
    let more = ["--gate", "refused=0"];
    let there = ["--api", api, "--metrics", metrics, "--report", report];
    let all = [&crowd[..], players, &how_long, &gates, &more, &there].concat();
    let _turn = turn();
    let (code, _, err) = run(&all, &[]);
    assert_eq!(code, 0, "{players:?}: {err}");
    let report = std::fs::read(report).expect("a report");
    serde_json::from_slice(&report).expect("JSON")
}

/// Twelve light players and two canaries, or as many thin ones among them.
fn crowd<'a>(protocol: &'a str, transport: &'a str) -> Vec<&'a str> {
    let who = ["--players", "14", "--canaries", "2"];
    let all_in = ["--gate", "connected=14"];
    let how = ["--protocol", protocol, "--transport", transport];
    [&who[..], &all_in, &how].concat()
}

fn number(report: &Value, path: &str) -> f64 {
    let number = report.pointer(path).and_then(Value::as_f64);
    assert!(number.is_some(), "{path} was not measured: {report}");
    number.unwrap_or_default()
}

fn assert_plays_well(report: &Value) {
    assert_eq!(
        report["verdict"]["state"], "passed",
        "{}",
        report["verdict"]
    );
    let answered = number(report, "/latency/input_to_state_ms/count");
    assert!(answered > 12.0 * 60.0 * 3.0, "{answered} inputs answered");
    let p95 = number(report, "/latency/input_to_state_ms/p95");
    assert!((1.0..400.0).contains(&p95), "{p95} ms");
    assert!(number(report, "/wrong_states").abs() < f64::EPSILON);
    let compared = number(report, "/compared_states");
    assert!(compared > 20.0, "{compared} states compared");
    let predicted = number(report, "/predicted_ticks");
    assert!(predicted > 60.0, "{predicted} ticks predicted");
    let rates = report["series"].as_array().expect("seconds").iter();
    let steady = rates.filter(|second| second["at_s"].as_f64() > Some(4.0));
    for second in steady {
        let least = number(second, "/snapshots_per_s_min");
        assert!(least > 10.0, "{least} snapshots in a second");
    }
}

/// By match and seat: the inputs that the simulation really used, each as its numbers.
fn inputs_used(replays: &Path) -> BTreeMap<(String, u64), Vec<Vec<i64>>> {
    let mut used = BTreeMap::<_, Vec<_>>::new();
    for file in std::fs::read_dir(replays).expect("a folder") {
        let path = file.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a plain name").to_owned();
        if !name.contains(".gslog") {
            continue;
        }
        let file = path.to_str().expect("a plain path");
        let (code, out, err) = run(&["replay", "export", file, "--json", "-"], &[]);
        assert_eq!(code, 0, "{err}");
        for line in out.lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let inputs = line["inputs"].as_array().into_iter().flatten();
            for input in inputs {
                let seat = input[0].as_u64().expect("a seat");
                let numbers = input[1].as_array().expect("an input").iter();
                let numbers = numbers.map(|number| number.as_i64().expect("a number"));
                used.entry((name.clone(), seat))
                    .or_default()
                    .push(numbers.collect());
            }
        }
    }
    used
}

/// Everybody moved, and the twelve light ones turned all the time and shot: stick, aim and buttons
/// of arena's input. A canary turns and shoots when it sees somebody.
fn assert_everybody_played(replays: &Path) {
    let used = inputs_used(replays);
    assert_eq!(used.len(), 14, "seats with inputs: {:?}", used.keys());
    let moved = |input: &Vec<i64>| input[0] != 0 || input[1] != 0;
    assert!(used.values().all(|inputs| inputs.iter().any(moved)));
    let is_light = |inputs: &&Vec<Vec<i64>>| {
        inputs
            .windows(2)
            .filter(|two| two[0][2] != two[1][2])
            .count()
            > CHANGES_OF_A_PLAYER
            && inputs.iter().any(|input| input[3] != 0)
    };
    let light = used.values().filter(is_light).count();
    assert!(light >= 12, "{light} turned and shot");
}

/// The server took everything that they sent.
async fn assert_nothing_refused(metrics: &str) {
    let scraped = fetch(metrics).await;
    let text = scraped.text().await.expect("text");
    for refusal in ["gs_inputs_rejected_total{", "reason=\"guard_"] {
        let refused = text.lines().find(|line| line.contains(refusal));
        assert_eq!(refused, None);
    }
}

#[tokio::test]
async fn light_native_players_play_as_clients_do() {
    for transport in ["quic", "websocket"] {
        let replays = tempfile::tempdir().expect("a folder");
        let (mut dev, api, metrics) = server(replays.path());
        let report = load(&crowd("native", transport), (&api, &metrics));
        assert_eq!(report["plan"]["protocol"], "native");
        assert_plays_well(&report);
        assert_nothing_refused(&metrics).await;
        dev.signal("TERM");
        assert!(dev.wait_for_exit().success());
        assert_everybody_played(replays.path());
    }
}

/// Inputs of four ticks in a packet: what they put off, they do not lose.
#[tokio::test]
async fn slowed_players_play_as_well() {
    let replays = tempfile::tempdir().expect("a folder");
    let (mut dev, api, metrics) = server(replays.path());
    let slowed = [&crowd("native", "quic")[..], &["--packet-ticks", "4"]].concat();
    let report = load(&slowed, (&api, &metrics));
    assert_eq!(report["plan"]["packet_ticks"], 4);
    assert_plays_well(&report);
    assert_nothing_refused(&metrics).await;
    dev.signal("TERM");
    assert!(dev.wait_for_exit().success());
    assert_everybody_played(replays.path());
}

#[test]
fn no_packet_has_room_for_more_inputs_than_a_message_takes() {
    let (code, _, err) = run(&["load", "--packet-ticks", "7"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("7 is not in 1..=6"), "{err}");
}

#[tokio::test]
async fn thin_and_native_players_play_together() {
    let replays = tempfile::tempdir().expect("a folder");
    let (_dev, api, metrics) = server(replays.path());
    let report = load(&crowd("mixed", "quic"), (&api, &metrics));
    assert_eq!(report["plan"]["protocol"], "mixed");
    assert_plays_well(&report);
    assert_nothing_refused(&metrics).await;
}

/// A round trip of 400 ms: so long a prediction can be wrong before its player hears of it.
#[test]
fn players_far_away_are_corrected_and_shown_what_others_are() {
    let replays = tempfile::tempdir().expect("a folder");
    let (_dev, api, metrics) = server(replays.path());
    let conditions = "delay=200ms,jitter=10ms,loss=3%";
    // A mode without fog: everybody is in view.
    let far = ["--mode", "practice", "--conditions", conditions];
    let all_canaries = ["--protocol", "native", "--players", "4", "--canaries", "4"];
    let report = load(&[&far[..], &all_canaries].concat(), (&api, &metrics));
    let compared = number(&report, "/compared_states");
    assert!(compared > 20.0, "{compared} states compared");
    let (wrong, of) = (
        number(&report, "/mispredicted_ticks"),
        number(&report, "/predicted_ticks"),
    );
    assert!(of > 60.0, "{of} ticks predicted");
    assert!(wrong <= of * 0.3, "{wrong} of {of} ticks mispredicted");
}

#[test]
fn more_canaries_than_players_are_refused() {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let few = ["--players", "3", "--canaries", "4"];
    let there = ["load", "--no-metrics", "--api", &api];
    let (code, _, err) = run(&[&there[..], &few].concat(), &[]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("4 canaries are more than 3 players"), "{err}");
}
