//! `gameserver load` against the real binary: what it measures, and what its exit code says.

use gameserver_server::simulation::TickPart;
use serde_json::Value;

use crate::support::{Process, run};

/// A small crowd for a few seconds, with these arguments besides: exit code, JSON, page, errors.
fn load(arguments: &[&str]) -> (i32, Value, String, String) {
    let (mut dev, api) = Process::dev(&["--no-bots"]);
    let line = dev.wait_for_line("metrics ");
    let metrics = line.split_whitespace().last().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let [json, page] = ["report.json", "report.html"].map(|name| folder.path().join(name));
    let [json, page] = [&json, &page].map(|path| path.to_str().expect("a plain path"));
    let few = ["load", "--players", "24", "--ramp", "2", "--seconds", "5"];
    let there = ["--api", &api, "--metrics", metrics];
    let reports = ["--report", json, "--report", page];
    let all = [&few[..], &there, &reports, arguments].concat();
    let (code, _, err) = run(&all, &[]);
    let report = std::fs::read(json).expect("a report");
    let page = std::fs::read_to_string(page).expect("a page");
    let report = serde_json::from_slice(&report).expect("JSON");
    (code, report, page, err)
}

#[test]
fn a_crowd_is_measured_over_both_transports() {
    for transport in ["quic", "websocket"] {
        let gates = ["--gate", "disconnects=0", "--gate", "connected=24"];
        let (code, report, page, err) =
            load(&[&["--transport", transport, "--spectators", "4"][..], &gates].concat());
        assert_eq!(code, 0, "{err}");
        assert_eq!(
            report["verdict"]["state"], "passed",
            "{}",
            report["verdict"]
        );
        assert_eq!(report["totals"]["connected"], 28, "players and spectators");
        let number = |path: &str| report.pointer(path).and_then(Value::as_f64);
        let ticks = number("/tick/ticks_per_s").expect("the server's metrics were read");
        assert!((55.0..65.0).contains(&ticks), "{ticks}");
        let parts = report["tick"]["parts"].as_array().expect("parts");
        let names: Vec<_> = parts.iter().map(|part| part["name"].as_str()).collect();
        assert_eq!(names, TickPart::ALL.map(|part| Some(part.name())));
        let shares = parts.iter().filter_map(|part| part["share"].as_f64());
        assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6, "{parts:?}");
        let answered = number("/latency/input_to_state_ms/p50").expect("inputs were answered");
        assert!(answered > 0.0, "{answered}");
        let last = report["series"].as_array().and_then(|rows| rows.last());
        let last = last.expect("seconds");
        assert_eq!(
            (&last["players"], &last["spectators"]),
            (&24.into(), &4.into())
        );
        assert!(last["server_rss_bytes"].as_f64() > Some(0.0), "{last}");
        assert!(page.contains(&format!("\"transport\":\"{transport}\"")));
        assert!(!page.contains("__REPORT__"));
    }
}

#[test]
fn a_crowd_on_a_bad_network_stays_and_its_report_says_so() {
    let bad = "delay=100ms,jitter=50ms,loss=5%,duplicate=1%";
    for transport in ["quic", "websocket"] {
        let gates = ["--gate", "disconnects=0", "--gate", "connected=24"];
        let network = ["--transport", transport, "--conditions", "bad"];
        let (code, report, page, err) = load(&[&network[..], &gates].concat());
        assert_eq!(code, 0, "{err}");
        assert_eq!(report["totals"]["disconnects"], 0, "{report}");
        assert_eq!(report["plan"]["conditions"], bad);
        assert!(page.contains(bad));
        // The way there and the way back, each 100 ms in the mean.
        let number = |path: &str| report.pointer(path).and_then(Value::as_f64);
        let answered = number("/latency/input_to_state_ms/p50").expect("inputs were answered");
        assert!(answered > 150.0, "{answered}");
        let trip = number("/latency/rtt_ms/p50").expect("round trips were measured");
        assert!(trip > 100.0, "{trip}");
    }
}

#[test]
fn a_gate_that_does_not_hold_is_told_by_the_exit_code() {
    let (code, report, _, err) = load(&["--gate", "ticks_per_s=61", "--gate", "disconnects=0"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("did not keep its limits"), "{err}");
    assert_eq!(report["verdict"]["state"], "failed");
    let passed = |index: usize| &report["gates"][index]["passed"];
    assert_eq!((passed(0), passed(1)), (&false.into(), &true.into()));
}

#[test]
fn a_run_that_cannot_begin_says_what_to_do() {
    let (code, _, err) = run(&["load", "--gate", "speed=1"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("tick_p99_ms"), "{err}");
    let (code, _, err) = run(&["load", "--conditions", "worst"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("mobile"), "{err}");
    let (code, _, err) = run(&["bots", "--conditions", "bad,loss=7"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("a share such as 1%"), "{err}");
    let (code, _, err) = run(&["load", "--game", "chess"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("battle"), "{err}");
    let (_dev, api) = Process::dev(&["--no-bots"]);
    let (code, _, err) = run(&["load", "--api", &api, "--players", "2000"], &[]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("add --matches"), "{err}");
}
