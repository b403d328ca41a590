//! Adds up what happens in a run and makes the report of it, at any time and at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::config::LoadConfig;
use super::duration_histogram::DurationHistogram;
use super::figures::figures;
use super::gates::Gate;
use super::progress::{Phase, Progress};
use super::server_metrics::{self, PartTimes, ServerSecond};
use super::stats_window::StatsWindow;
use crate::machine;
use crate::report::{self, EndCount, Footprint, LoadReport, RunOutcome, RunVerdict, Second};

/// Own work that began later than this says that the bots were the bottleneck, if one in a hundred
/// parts of their work did.
const LAG_MAX: Duration = Duration::from_millis(16);
/// The same of their network. What it does later than [`LAG_MAX`] is sent and counted all the same,
/// so that it can make a gate fail and none hold; what is later than this is another load than the
/// one that was asked for.
const NETWORK_LAG_MAX: Duration = Duration::from_millis(50);

/// What a run adds up.
#[derive(Debug)]
pub(super) struct RunTotals {
    /// What is known beforehand.
    blank: LoadReport,
    gates: Vec<Gate>,
    whole: Duration,
    pub(super) began: Instant,
    /// Until when the threads have reported, since the beginning.
    pub(super) reported_until: Duration,
    /// Since when it counts, since the beginning.
    pub(super) measured_from: Option<Duration>,
    end: RunEnd,
    pub(super) connected: u64,
    pub(super) refused: u64,
    pub(super) refused_saying_when: u64,
    pub(super) churn_joins: u64,
    pub(super) joins: DurationHistogram,
    /// From asking for a seat to being refused.
    pub(super) refusals: DurationHistogram,
    /// Seconds that count.
    counted: StatsWindow,
    /// Everything, for how bots ended.
    pub(super) all: StatsWindow,
    server: ServerSum,
    pub(super) series: Vec<Second>,
    own_cpu_before: Option<(Instant, Duration)>,
    drops_before: Option<u64>,
    pub(super) baseline: Option<Footprint>,
    pub(super) settled: Option<Footprint>,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunEnd {
    Complete,
    Stopped,
}

/// The server's seconds that count.
#[derive(Debug, Default)]
struct ServerSum {
    ticks: BTreeMap<u64, f64>,
    parts: BTreeMap<String, PartTimes>,
    ticks_per_s: Vec<f64>,
    inputs_late: f64,
}

impl RunTotals {
    /// Of a run of which this is known before.
    pub(super) fn new(config: &LoadConfig, blank: LoadReport) -> Self {
        Self {
            blank,
            gates: config.gates.clone(),
            whole: config.ramp + config.duration + config.settle,
            began: Instant::now(),
            reported_until: Duration::ZERO,
            measured_from: None,
            end: RunEnd::Complete,
            connected: 0,
            refused: 0,
            refused_saying_when: 0,
            churn_joins: 0,
            joins: DurationHistogram::default(),
            refusals: DurationHistogram::default(),
            counted: StatsWindow::default(),
            all: StatsWindow::default(),
            server: ServerSum::default(),
            series: Vec::new(),
            own_cpu_before: None,
            drops_before: None,
            baseline: None,
            settled: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        if self.measured_from.is_some() {
            Phase::Measuring
        } else {
            Phase::Ramp
        }
    }

    pub(super) fn start_measuring(&mut self) {
        self.measured_from = Some(self.reported_until);
        self.drops_before = machine::kernel_drops();
    }

    pub(super) fn stop_early(&mut self) {
        self.end = RunEnd::Stopped;
    }

    pub(super) fn record(&mut self, window: &StatsWindow) {
        self.all.add_after(window);
    }

    pub(super) fn publish(
        &self,
        phase: Phase,
        elapsed: Duration,
        progress: &mut impl FnMut(&Progress<'_>),
    ) {
        progress(&Progress {
            report: &self.report(),
            phase,
            elapsed,
            whole: self.whole,
        });
    }

    /// A second after the ramp.
    pub(super) fn count(&mut self, window: &StatsWindow, server: Option<&ServerSecond>) {
        self.counted.add_after(window);
        if let Some(server) = server {
            for (upper, count) in &server.ticks {
                *self.server.ticks.entry(*upper).or_default() += count;
            }
            for (name, times) in &server.parts {
                let sum = self.server.parts.entry(name.clone()).or_default();
                sum.add(times);
            }
            self.server.ticks_per_s.extend(server.ticks_per_s);
            self.server.inputs_late += server.inputs_late;
        }
    }

    /// Share of a core that this process used since the last call.
    pub(super) fn own_cpu(&mut self) -> Option<f64> {
        let now = (Instant::now(), machine::own_cpu()?);
        let (then, before) = self.own_cpu_before.replace(now)?;
        let used = now.1.saturating_sub(before).as_secs_f64();
        Some(used / now.0.duration_since(then).as_secs_f64().max(1e-3))
    }

    pub(super) fn report(&self) -> LoadReport {
        let drops = machine::kernel_drops().zip(self.drops_before);
        let rates = &self.server.ticks_per_s;
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        let clients = &self.all.clients;
        let mut report = LoadReport {
            totals: report::Totals {
                connected: self.connected + clients.connected,
                refused: self.refused + clients.refused,
                refused_saying_when: self.refused_saying_when + clients.refused_saying_when,
                disconnects: disconnects(&self.all.ends),
                churn_joins: self.churn_joins,
                churn_leaves: self.all.leaves,
                inputs_sent: self.counted.inputs,
                inputs_late: self.server.inputs_late,
                snapshots: self.counted.snapshots,
                bytes_in: self.counted.bytes_in,
                bytes_out: self.counted.bytes_out,
                kills: self.all.kills,
                kernel_drops: drops.map(|(now, before)| now.saturating_sub(before)),
            },
            latency: report::Latencies {
                input_to_state_ms: self.counted.answered.latency(),
                rtt_ms: self.counted.rtt.latency(),
                join_ms: self.joins.latency(),
                refusal_ms: self.refusals.latency(),
            },
            tick: report::TickTimes {
                p50_ms: server_metrics::ms_at(&self.server.ticks, 0.5),
                p99_ms: server_metrics::ms_at(&self.server.ticks, 0.99),
                ticks_per_s: (!rates.is_empty())
                    .then_some(mean / f64::from(self.blank.plan.matches)),
                parts: server_metrics::tick_parts(&self.server.parts),
            },
            series: self.series.clone(),
            ends: ends(&self.all.ends),
            baseline: self.baseline.clone(),
            settled: self.settled.clone(),
            ..self.blank.clone()
        };
        self.judge(&mut report);
        report
    }

    fn judge(&self, report: &mut LoadReport) {
        let counted = self
            .measured_from
            .map(|from| self.reported_until.saturating_sub(from));
        let counted_s = counted.unwrap_or_default().as_secs_f64();
        report.figures = figures(report, &self.counted, &self.all, counted_s);
        report.gates = self.gates.iter().map(|gate| gate.check(report)).collect();
        report.verdict = verdict(report, &self.counted);
        let reasons = &mut report.verdict.reasons;
        report.figures.void = report.verdict.state == RunOutcome::Void;
        report.figures.void_reason = report.figures.void.then(|| reasons.join(" "));
        if self.end == RunEnd::Stopped {
            let wanted_s = report.plan.seconds;
            reasons.push(format!(
                "The run was stopped after {counted_s:.0} of {wanted_s:.0} seconds that count."
            ));
        }
        // A run that passes must not hide that half of it was not looked at.
        if report.tick.p50_ms.is_none() && counted_s > 0.0 {
            let why = if report.baseline.is_none() {
                "were not read"
            } else {
                "report no tick"
            };
            reasons.push(format!(
                "Nothing is known of the server's ticks: its metrics {why}."
            ));
        }
    }
}

/// The row of one second.
pub(super) fn second(
    at: Duration,
    mut window: StatsWindow,
    server: ServerSecond,
    matches: u32,
    bots_cpu: Option<f64>,
) -> Second {
    let rates = &mut window.snapshots_by_bot;
    rates.sort_unstable();
    let players = window.playing.max(1) as f64;
    Second {
        at_s: at.as_secs_f64(),
        players: window.playing,
        spectators: window.watching,
        snapshots_per_s: rates.get(rates.len() / 2).map(|rate| f64::from(*rate)),
        snapshots_per_s_min: rates.first().map(|rate| f64::from(*rate)),
        input_to_state_p50_ms: window.answered.ms_at(0.5),
        input_to_state_p95_ms: window.answered.ms_at(0.95),
        rtt_p50_ms: window.rtt.ms_at(0.5),
        tick_p50_ms: server.tick_p50_ms,
        tick_p99_ms: server.tick_p99_ms,
        ticks_per_s: server.ticks_per_s.map(|rate| rate / f64::from(matches)),
        server_cpu: server.cpu,
        server_rss_bytes: server.memory_bytes,
        server_files: server.files,
        server_threads: server.threads,
        bots_cpu,
        bots_lag_max_ms: [&window.lag, &window.network_lag]
            .into_iter()
            .filter_map(|lag| lag.ms_at(1.0))
            .reduce(f64::max),
        kb_in_per_player: window.bytes_in as f64 / 1e3 / players,
        kb_out_per_player: window.bytes_out as f64 / 1e3 / players,
        disconnects: disconnects(&window.ends),
    }
}

fn ends(by_reason: &BTreeMap<String, u64>) -> Vec<EndCount> {
    let rows = by_reason.iter().map(|(why, count)| EndCount {
        why: why.clone(),
        count: *count,
    });
    rows.collect()
}

/// Those that were refused never were connected.
fn disconnects(ends: &BTreeMap<String, u64>) -> u64 {
    let ends = ends.iter().filter(|end| !end.0.starts_with("not let in"));
    ends.map(|end| end.1).sum()
}

fn verdict(report: &LoadReport, counted: &StatsWindow) -> RunVerdict {
    let failed = report.gates.iter().filter(|gate| !gate.passed);
    let failed: Vec<_> = failed.map(ToString::to_string).collect();
    let network_lag_max = if failed.is_empty() {
        NETWORK_LAG_MAX
    } else {
        LAG_MAX
    };
    let bottlenecks = [
        bottleneck("their own work", &counted.lag, LAG_MAX),
        bottleneck(
            "their network's work",
            &counted.network_lag,
            network_lag_max,
        ),
    ];
    let bottlenecks: Vec<_> = bottlenecks.into_iter().flatten().collect();
    let state = match (bottlenecks.is_empty(), failed.is_empty()) {
        (false, _) => RunOutcome::Void,
        (true, false) => RunOutcome::Failed,
        (true, true) => RunOutcome::Passed,
    };
    let reasons = [bottlenecks, failed].concat();
    RunVerdict { state, reasons }
}

/// What it means when this began later than it may.
fn bottleneck(what: &str, lag: &DurationHistogram, lag_max: Duration) -> Option<String> {
    let lag_ms = lag.ms_at(0.99)?;
    (lag_ms > lag_max.as_secs_f64() * 1e3).then(|| {
        format!(
            "The bots were the bottleneck: {what} began {lag_ms:.1} ms late or more in one of a \
             hundred cases. Give them another core or use fewer."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second in which one of two began this late.
    fn late(late: Duration) -> DurationHistogram {
        let mut lag = DurationHistogram::default();
        lag.record(Duration::ZERO);
        lag.record(late);
        lag
    }

    const HOLDS: &str = "disconnects=0";
    const FAILS: &str = "connected=1";

    /// The verdict on a run in which nothing happened, and how many reasons it gives.
    fn judge(gate: &str, own_lag_ms: u64, network_lag_ms: u64) -> (RunOutcome, usize) {
        let mut report = LoadReport::default();
        let gate: Gate = gate.parse().expect("a gate");
        report.gates = vec![gate.check(&report)];
        let window = StatsWindow {
            lag: late(Duration::from_millis(own_lag_ms)),
            network_lag: late(Duration::from_millis(network_lag_ms)),
            ..StatsWindow::default()
        };
        let verdict = verdict(&report, &window);
        (verdict.state, verdict.reasons.len())
    }

    #[test]
    fn bots_that_had_no_time_make_a_run_void_whatever_its_gates_say() {
        assert_eq!(judge(HOLDS, 15, 15), (RunOutcome::Passed, 0));
        assert_eq!(judge(FAILS, 15, 15), (RunOutcome::Failed, 1));
        assert_eq!(judge(HOLDS, 17, 15), (RunOutcome::Void, 1));
        assert_eq!(judge(FAILS, 17, 15), (RunOutcome::Void, 2));
        assert_eq!(judge(HOLDS, 15, 60), (RunOutcome::Void, 1));
    }

    #[test]
    fn a_gate_that_holds_although_the_bots_network_is_late_does_hold() {
        assert_eq!(judge(HOLDS, 15, 40), (RunOutcome::Passed, 0));
        assert_eq!(judge(FAILS, 15, 40), (RunOutcome::Void, 2));
    }
}
