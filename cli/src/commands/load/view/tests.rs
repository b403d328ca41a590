//! The view, drawn into memory.

use std::time::Duration;

use gameserver_client_sim::load::{Phase, Progress};
use gameserver_client_sim::report::{Footprint, GateResult, LoadReport, Second};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::{Look, draw};

fn report(seconds: u32) -> LoadReport {
    let second = |at: u32| Second {
        at_s: f64::from(at),
        players: 998,
        tick_p50_ms: Some(3.75),
        tick_p99_ms: Some(if at == seconds { 20.0 } else { 8.0 }),
        ticks_per_s: Some(60.0),
        input_to_state_p50_ms: Some(28.0),
        input_to_state_p95_ms: Some(50.0),
        snapshots_per_s: Some(20.0),
        snapshots_per_s_min: Some(18.5),
        server_cpu: Some(0.83),
        server_rss_bytes: Some(214.0 * 1_048_576.0),
        bots_cpu: Some(0.41),
        ..Second::default()
    };
    let mut report = LoadReport {
        title: "1000 thin players over quic in 1 match of Battle".to_owned(),
        series: (1..=seconds).map(second).collect(),
        ..LoadReport::default()
    };
    report.plan.players = 1_000;
    report.plan.tick_rate_hz = 60;
    report.plan.snapshot_rate_hz = 20;
    report.totals.connected = 1_000;
    report.totals.disconnects = 2;
    report.figures.input_to_state_p95_ms = Some(49.5);
    report
}

fn gate(name: &str, value: Option<f64>, passed: bool) -> GateResult {
    let (name, limit) = (name.to_owned(), 16.6);
    GateResult {
        name,
        value,
        limit,
        passed,
    }
}

fn drawn(report: &LoadReport, log: &[String], (width, height): (u16, u16)) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let standing = Progress {
        report,
        phase: Phase::Measuring,
        elapsed: Duration::from_secs(27),
        whole: Duration::from_secs(70),
    };
    let look = Look {
        standing: &standing,
        log,
    };
    terminal.draw(|frame| draw(frame, &look)).unwrap();
    terminal.backend().clone()
}

fn lines(backend: &TestBackend) -> Vec<String> {
    let buffer = backend.buffer();
    let symbols: Vec<&str> = buffer
        .content()
        .iter()
        .map(ratatui::buffer::Cell::symbol)
        .collect();
    let rows = symbols.chunks(usize::from(buffer.area.width));
    rows.map(|row| row.concat().trim_end().to_owned()).collect()
}

#[test]
fn every_figure_and_gate_has_its_place_on_a_small_terminal() {
    let mut report = report(30);
    report.gates = vec![
        gate("tick_p99_ms", Some(12.25), true),
        gate("disconnects", Some(2.0), false),
        gate("entities_left", None, false),
    ];
    let lines = lines(&drawn(&report, &[], (80, 24)));
    let text = lines.join("\n");
    for wanted in [
        "1000 thin players over quic in 1 match of Battle · it counts",
        "0:27 of 1:10, 0:43 left",
        "998 of 1000 play",
        "1000 let in, 0 refused, 2 disconnects",
        "tick p50       3.75 ms",
        "20.0 ms, 120 % of 16.7",
        "60.0 of 60",
        "p50 28.0 p95 50.0 ms, in all p95 49.5",
        "20.0 of 20, least 18.5",
        "0.83 cores",
        "214.0 MiB",
        "0.41 cores",
        "holds tick_p99_ms                  12.2  limit 16.6",
        "FAILS disconnects",
        "open  entities_left                   –",
        "Ctrl-C ends the run",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is missing in\n{text}");
    }
}

#[test]
fn a_trend_shows_the_worst_second_of_each_column() {
    let tick = |width| {
        let lines = lines(&drawn(&report(60), &[], (width, 24)));
        let line = lines.iter().find(|line| line.starts_with("tick p99"));
        line.unwrap().clone()
    };
    for width in [80, 140] {
        assert!(tick(width).ends_with("▃█"), "{}", tick(width));
    }
    let seconds = tick(140).chars().filter(|one| *one == '▃').count();
    assert_eq!(seconds, 59, "one column for each second");
}

#[test]
fn a_figure_beyond_its_limit_is_red_and_one_within_is_green() {
    let backend = drawn(&report(30), &[], (80, 24));
    let colour_of = |name: &str| {
        let row = lines(&backend)
            .iter()
            .position(|line| line.starts_with(name));
        let row = u16::try_from(row.unwrap()).unwrap();
        backend.buffer()[(15, row)].fg
    };
    assert_eq!(colour_of("tick p99"), Color::Red);
    assert_eq!(colour_of("tick p50"), Color::Green);
    assert_eq!(colour_of("connections"), Color::Red);
}

#[test]
fn what_has_no_room_is_said_and_what_fails_comes_first() {
    let mut report = report(30);
    let holding = (0..20).map(|number| gate(&format!("gate_{number}"), Some(1.0), true));
    report.gates = holding.collect();
    report.gates.push(gate("late", Some(99.0), false));
    let small = lines(&drawn(&report, &[], (80, 24))).join("\n");
    assert!(small.contains("FAILS late"), "{small}");
    assert!(small.contains("more gates"), "{small}");
    let large = lines(&drawn(&report, &[], (140, 40))).join("\n");
    assert!(!large.contains("more gates"), "{large}");
    assert!(large.contains("gate_19"), "{large}");
}

#[test]
fn the_newest_log_lines_stand_above_the_help() {
    let log: Vec<String> = (1..=40)
        .map(|number| format!("WARN line {number}"))
        .collect();
    let lines = lines(&drawn(&report(3), &log, (80, 24)));
    assert!(lines[23].starts_with("Ctrl-C"), "{lines:?}");
    assert_eq!(lines[22], "WARN line 40");
}

#[test]
fn what_a_server_keeps_is_shown_once_everybody_has_left() {
    let mut report = report(30);
    report.settled = Some(Footprint::default());
    report.figures.rss_growth_mib = Some(12.4);
    report.figures.files_left = Some(-1.0);
    report.figures.entities_left = Some(0.0);
    let text = lines(&drawn(&report, &[], (80, 24))).join("\n");
    assert!(
        text.contains("+12 MiB, -1 files, – tasks, +0 entities"),
        "{text}"
    );
}

#[test]
fn a_terminal_of_any_size_is_drawn_on() {
    let mut report = report(70);
    report.gates = vec![gate("tick_p99_ms", None, false)];
    for size in [(1, 1), (20, 5), (79, 17), (300, 100)] {
        drawn(&report, &["a line".to_owned()], size);
    }
    drawn(&LoadReport::default(), &[], (80, 24));
}
