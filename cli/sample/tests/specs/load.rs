//! `gameserver load` against the real binary: what it measures, and what its exit code says.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gameserver_server::simulation::TickPart;
use serde_json::Value;

use crate::support::{PROGRAM, Process, fetch, run, turn};

/// A small crowd for a few seconds, with these arguments besides.
fn load(arguments: &[&str]) -> Run {
    let _turn = turn();
    let (mut dev, api) = PROGRAM.dev(&["--no-bots"]);
    let line = dev.wait_for_line("metrics ");
    let metrics = line.split_whitespace().last().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let [json, page] = ["report.json", "report.html"].map(|name| folder.path().join(name));
    let [json, page] = [&json, &page].map(|path| path.to_str().expect("a plain path"));
    let few = ["load", "--players", "24", "--ramp", "2", "--seconds", "5"];
    let there = ["--api", &api, "--metrics", metrics];
    let reports = ["--report", json, "--report", page];
    let all = [&few[..], &there, &reports, arguments].concat();
    let (code, out, err) = run(&all, &[]);
    let report = std::fs::read(json).expect("a report");
    Run {
        code,
        report: serde_json::from_slice(&report).expect("JSON"),
        page: std::fs::read_to_string(page).expect("a page"),
        out,
        err,
        command: all.iter().map(ToString::to_string).collect(),
        metrics: metrics.to_owned(),
        _dev: dev,
    }
}

/// What came of it.
struct Run {
    code: i32,
    report: Value,
    page: String,
    out: String,
    err: String,
    /// The arguments of the program.
    command: Vec<String>,
    metrics: String,
    _dev: Process,
}

impl Run {
    /// A whole number of the report.
    fn count(&self, path: &str) -> u64 {
        let value = self.report.pointer(path).and_then(Value::as_u64);
        assert!(value.is_some(), "{path} is no count in {}", self.report);
        value.unwrap_or_default()
    }

    /// A number of the report; the path begins with a slash.
    fn number(&self, path: &str) -> f64 {
        let value = self.report.pointer(path).and_then(Value::as_f64);
        assert!(value.is_some(), "{path} is no number in {}", self.report);
        value.unwrap_or_default()
    }
}

#[tokio::test]
async fn a_crowd_is_measured_over_both_transports() {
    for transport in ["quic", "websocket"] {
        let gates = ["--gate", "disconnects=0", "--gate", "connected=28"];
        let run = load(&[&["--transport", transport, "--spectators", "4"][..], &gates].concat());
        let (verdict, ends) = (&run.report["verdict"], &run.report["ends"]);
        assert_eq!(run.code, 0, "{}{verdict}{ends}", run.err);
        assert_eq!(verdict["state"], "passed", "{verdict}");
        assert_eq!(
            run.report["totals"]["connected"], 28,
            "players and spectators"
        );
        let ticks = run.number("/tick/ticks_per_s");
        assert!((55.0..65.0).contains(&ticks), "{ticks}");
        let parts = run.report["tick"]["parts"].as_array().expect("parts");
        let names: Vec<_> = parts.iter().map(|part| part["name"].as_str()).collect();
        assert_eq!(names, TickPart::ALL.map(|part| Some(part.name())));
        let shares = parts.iter().filter_map(|part| part["share"].as_f64());
        assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6, "{parts:?}");
        assert!(run.number("/latency/input_to_state_ms/p50") > 0.0);
        let last = run.report["series"].as_array().and_then(|rows| rows.last());
        let last = last.expect("seconds");
        assert_eq!(
            (&last["players"], &last["spectators"]),
            (&24.into(), &4.into())
        );
        assert!(last["server_rss_bytes"].as_f64() > Some(0.0), "{last}");
        let page = &run.page;
        assert!(page.contains(&format!("\"transport\":\"{transport}\"")));
        assert!(!page.contains("__REPORT__"));
        let scraped = fetch(&run.metrics).await;
        let metrics = scraped.text().await.expect("text");
        for role in ["player", "spectator"] {
            let labels = format!("role=\"{role}\",transport=\"{transport}\"");
            let series = format!("gs_connections{{protocol=\"thin\",{labels}}} 0");
            assert!(
                metrics.contains(&series),
                "{series} is missing in {metrics}"
            );
        }
        assert!(!metrics.contains("protocol=\"native\""), "{metrics}");
    }
}

#[test]
fn a_crowd_on_a_bad_network_stays_and_its_report_says_so() {
    let bad = "delay=100ms,jitter=50ms,loss=5%,duplicate=1%";
    for transport in ["quic", "websocket"] {
        let gates = ["--gate", "disconnects=0", "--gate", "connected=24"];
        let network = ["--transport", transport, "--conditions", "bad"];
        let run = load(&[&network[..], &gates].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        assert_eq!(run.report["totals"]["disconnects"], 0, "{}", run.report);
        assert_eq!(run.report["plan"]["conditions"], bad);
        assert!(run.page.contains(bad));
        // The way there and the way back, each 100 ms in the mean.
        let answered = run.number("/latency/input_to_state_ms/p50");
        assert!(answered > 150.0, "{answered}");
        let trip = run.number("/latency/rtt_ms/p50");
        assert!(trip > 100.0, "{trip}");
    }
}

#[test]
fn what_scripts_read_stands_at_the_top_of_the_report() {
    let run = load(&[]);
    assert_eq!(run.code, 0, "{}", run.err);
    let report = &run.report;
    assert_eq!(
        (&report["void"], &report["players"]),
        (&false.into(), &24.into())
    );
    assert_eq!(
        (&report["matches"], &report["refused"]),
        (&1.into(), &0.into())
    );
    assert_eq!(report["disconnects"], 0);
    assert!(report["kills"].is_u64(), "{report}");
    let seconds = run.number("/seconds");
    assert!((4.5..6.5).contains(&seconds), "{seconds}");
    for name in [
        "ticks_per_s",
        "tick_p50_ms",
        "tick_p99_ms",
        "input_to_state_p50_ms",
        "input_to_state_p95_ms",
        "snapshots_per_s",
        "bytes_down_per_s_p95",
        "bytes_up_per_s_p95",
        "server_cpu_cores",
        "server_rss_mib_max",
    ] {
        let value = run.number(&format!("/{name}"));
        assert!(value > 0.0, "{name} is {value}");
    }
    assert!(run.number("/own_lag_ms_p99") >= 0.0);
    assert!(run.number("/network_lag_ms_p99") > 0.0);
    // 24 players get 20 snapshots of some hundred bytes, each over the whole time that counts.
    let (middle, fewest) = (
        run.number("/state_rate_median"),
        run.number("/state_rate_min"),
    );
    assert!(
        (0.8..1.1).contains(&middle) && fewest <= middle,
        "{fewest} {middle}"
    );
    assert!((run.number("/snapshots_per_s") - middle * 20.0).abs() < 0.1);
    for absent in ["void_reason", "rss_growth_mib", "rss_growth_last_30s_mib"] {
        assert!(report.get(absent).is_none(), "{absent} was not measured");
    }
}

#[test]
fn the_page_names_the_command_that_repeats_the_run() {
    let run = load(&["--game", "arena", "--gate", "refused=0", "--seed", "7"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let words = run.report["command"].as_array().expect("words");
    let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
    assert_eq!(words[0], "gameserver");
    assert_eq!(words[1..], run.command);
    let in_page = serde_json::to_string(&words).expect("JSON");
    assert!(run.page.contains(&in_page), "{in_page}");
}

#[test]
fn more_matches_than_one_player_may_open_are_filled() {
    let gates = ["--gate", "connected=24", "--gate", "disconnects=0"];
    let run = load(&[&["--game", "arena", "--matches", "24"][..], &gates].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.count("/matches"), 24);
}

#[test]
fn players_come_and_go_while_it_counts_and_nobody_is_lost() {
    let run = load(&["--churn", "4", "--matches", "2", "--gate", "disconnects=0"]);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    let (joins, leaves) = (
        run.count("/totals/churn_joins"),
        run.count("/totals/churn_leaves"),
    );
    // Every quarter of a second for five seconds; the last ones may come too late.
    assert!((14..=20).contains(&joins), "{joins} joined");
    assert!((14..=20).contains(&leaves), "{leaves} left");
    assert_eq!(run.count("/connected"), 24 + joins);
    assert_eq!(run.count("/refused"), 0, "{}", run.report["ends"]);
    let rows = run.report["series"].as_array().expect("seconds");
    let playing = rows.iter().skip(3).map(|row| row["players"].as_u64());
    for players in playing {
        assert!(
            (20..=28).contains(&players.unwrap_or_default()),
            "{players:?}"
        );
    }
    assert!(run.out.contains("joined and"), "{}", run.out);
}

#[test]
fn a_server_is_compared_with_what_it_was_before() {
    let gates = [
        "--gate",
        "entities_left=0",
        "--gate",
        "rss_growth_mib=0.001",
    ];
    let run = load(&[&["--settle", "4"][..], &gates].concat());
    assert_eq!(run.code, 1, "memory was taken: {}", run.err);
    let gates = run.report["gates"].as_array().expect("gates");
    let passed: Vec<_> = gates.iter().map(|gate| gate["passed"].as_bool()).collect();
    assert_eq!(passed, [Some(true), Some(false)], "{gates:?}");
    for figure in ["rss_mib", "files", "tasks", "entities"] {
        let [before, after] =
            ["baseline", "settled"].map(|moment| run.number(&format!("/{moment}/{figure}")));
        assert!(before >= 0.0 && after >= 0.0, "{figure}: {before}, {after}");
    }
    let left = run.number("/settled/tasks") - run.number("/baseline/tasks");
    assert!((run.number("/tasks_left") - left).abs() < 0.5);
    assert!(left < 24.0, "no task of a connection is left: {left}");
    assert!(run.out.contains("everybody gone"), "{}", run.out);
}

#[test]
fn a_gate_that_does_not_hold_is_told_by_the_exit_code() {
    let run = load(&["--gate", "ticks_per_s=61", "--gate", "disconnects=0"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("did not keep its limits"), "{}", run.err);
    assert_eq!(run.report["verdict"]["state"], "failed");
    let passed = |index: usize| &run.report["gates"][index]["passed"];
    assert_eq!((passed(0), passed(1)), (&false.into(), &true.into()));
}

/// A run that would take ten minutes, against this server.
fn long_run(api: &str, report: &Path) -> Vec<String> {
    let report = report.to_str().expect("a plain path");
    let words = [
        "load",
        "--players",
        "8",
        "--ramp",
        "1",
        "--seconds",
        "600",
        "--api",
        api,
        "--no-metrics",
        "--report",
        report,
    ];
    words.map(ToOwned::to_owned).into()
}

/// Such a run, on its way.
struct LongRun {
    dev: Process,
    load: Process,
    report: PathBuf,
    _folder: tempfile::TempDir,
}

impl LongRun {
    fn start() -> Self {
        let (dev, api) = PROGRAM.dev(&["--no-bots"]);
        let folder = tempfile::tempdir().expect("a folder");
        let report = folder.path().join("report.json");
        let words = long_run(&api, &report);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut load = PROGRAM.start(&words, &[]);
        load.wait_for_line("3 s ");
        Self {
            dev,
            load,
            report,
            _folder: folder,
        }
    }
}

#[test]
fn ctrl_c_ends_a_run_in_order_and_writes_what_was_measured() {
    let mut run = LongRun::start();
    run.load.signal("INT");
    assert_eq!(run.load.wait_for_exit().code(), Some(0));
    let report = std::fs::read(&run.report).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["players"], 8);
    let reason = report["verdict"]["reasons"][0].as_str().unwrap_or_default();
    assert!(reason.contains("stopped after"), "{}", report["verdict"]);
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_the_server() {
    let mut run = LongRun::start();
    // It answers no goodbye any more.
    run.dev.signal("STOP");
    run.load.signal("INT");
    run.load.wait_for_line("the bots say goodbye");
    run.load.signal("INT");
    assert_eq!(run.load.wait_for_exit().code(), Some(1));
    assert!(!run.report.exists(), "there was no time for it");
    run.dev.signal("CONT");
}

/// The program on a terminal of its own, of `script`; what it writes there is returned when Ctrl-C
/// was pressed after a while. Without `script` there is no terminal to test with.
fn on_a_terminal(arguments: &[&str], typed: &[&str]) -> String {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    let mut words = long_run(&api, &report);
    words.extend(arguments.iter().map(ToString::to_string));
    let program = PROGRAM.0;
    let command = format!("stty rows 24 cols 80; exec {program} {}", words.join(" "));
    let mut terminal = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut keys = terminal.stdin.take().expect("a pipe");
    let mut shown = terminal.stdout.take().expect("a pipe");
    let (mut text, mut piece) = (String::new(), [0; 4_096]);
    let mut wanted = typed.iter();
    let mut next = wanted.next();
    loop {
        let length = shown.read(&mut piece).unwrap_or(0);
        if length == 0 {
            break;
        }
        text += &String::from_utf8_lossy(&piece[..length]);
        if next.is_some_and(|seen| text.contains(seen)) {
            next = wanted.next();
            if next.is_none() {
                keys.write_all(b"x\x03").expect("the terminal takes keys");
            }
        }
    }
    let status = terminal.wait().expect("a child");
    assert!(status.success(), "{status}: {text}");
    assert!(report.exists(), "{text}");
    text
}

#[test]
fn a_terminal_shows_a_view_and_is_given_back() {
    let text = on_a_terminal(&[], &["come", "counts"]);
    let (taken, given_back) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
    let from = text.find(taken).expect("the view has a screen of its own");
    let until = text.rfind(given_back).expect("the screen is given back");
    let view = &text[from..until];
    // Words only: blanks that are there already are not written.
    for wanted in ["p99", "memory", "Ctrl-C"] {
        assert!(view.contains(wanted), "{wanted} is missing in {view}");
    }
    let after = &text[until..];
    assert!(
        after.contains("let in, 0 refused"),
        "the summary stays: {after}"
    );
    assert!(text.contains("\u{1b}[?25h"), "the cursor is shown again");
}

#[test]
fn a_terminal_gets_lines_when_it_wants_no_view() {
    let text = on_a_terminal(&["--plain"], &["3 s "]);
    assert!(!text.contains("\u{1b}["), "{text}");
    assert!(text.contains("snapshots/s"), "{text}");
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
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let crowd = ["load", "--api", &api, "--no-metrics", "--players", "2000"];
    let (code, _, err) = run(&crowd, &[]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("add --matches"), "{err}");
}

#[test]
fn a_run_whose_server_has_no_metrics_to_read_does_not_begin() {
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let few = ["load", "--players", "2", "--ramp", "0", "--seconds", "1"];
    let (nowhere, elsewhere) = ("http://127.0.0.1:9/metrics", format!("{api}/livez"));
    for (metrics, why) in [
        (
            nowhere,
            "failed to read the server's metrics at http://127.0.0.1:9/metrics",
        ),
        (elsewhere.as_str(), "has no metrics of a game server"),
    ] {
        let there = ["--api", &api, "--metrics", metrics];
        let (code, out, err) = run(&[&few[..], &there].concat(), &[]);
        assert_eq!(code, 1, "{out}{err}");
        assert!(!out.contains("passed"), "{out}");
        assert!(err.contains(why) && err.contains("--no-metrics"), "{err}");
    }
}

#[test]
fn a_run_without_metrics_says_what_is_not_known() {
    let _turn = turn();
    let (_dev, api) = PROGRAM.dev(&["--no-bots"]);
    let few = ["load", "--players", "2", "--ramp", "1", "--seconds", "2"];
    let (_, out, err) = run(&[&few[..], &["--api", &api, "--no-metrics"]].concat(), &[]);
    assert!(
        out.contains("Nothing is known of the server's ticks: its metrics were not read."),
        "{out}{err}"
    );
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = folder.path().join("there.json");
    let there = there.to_str().expect("a plain path");
    // Nobody answers: whoever asked first would say that.
    let nobody = ["--api", "http://127.0.0.1:9", "--report", there];
    let nowhere = folder.path().join("nowhere").join("report.json");
    let nowhere = nowhere.to_str().expect("a plain path");
    let place = folder.path().to_str().expect("a plain path");
    let load = |report| [&["load"][..], &nobody, &["--report", report]].concat();
    let bots = ["bots", "--api", "http://127.0.0.1:9", "--report", nowhere];
    for words in [load(nowhere), load(place), bots.to_vec()] {
        let (code, out, err) = run(&words, &[]);
        assert_eq!(code, 1, "{out}{err}");
        assert!(err.contains("failed to write"), "{words:?}: {err}");
    }
    assert!(!Path::new(there).exists(), "nothing was measured");
}

#[test]
fn more_bots_than_a_session_takes_are_refused_with_the_number_that_it_takes() {
    let (code, _, err) = run(&["bots", "--players", "70"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("--players 70 is more than a session of arena takes: 64"),
        "{err}"
    );
}

#[test]
fn numbers_that_no_run_can_have_are_refused() {
    for [flag, number] in [
        ["--threads", "0"],
        ["--threads", "100000"],
        ["--seconds", "0"],
        ["--seconds", "18446744073709551615"],
        ["--ramp", "18446744073709551615"],
        ["--players", "4294967295"],
        ["--matches", "0"],
    ] {
        let (code, _, err) = run(&["load", flag, number], &[]);
        assert_eq!(code, 2, "{flag} {number}: {err}");
        assert!(err.contains(flag), "{err}");
    }
}
