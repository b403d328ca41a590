//! Computes the numbers of a report from what a run has added up.

use super::stats_window::StatsWindow;
use crate::client_counts;
use crate::report::{Figures, LoadReport, Second};

const MIB: f64 = 1_048_576.0;
/// Time over which growth of memory is looked for at the end.
const GROWTH_S: f64 = 30.0;
/// Threads report each second a little early or late.
const EDGE_S: f64 = 0.5;

/// From the parts of the report, and what is not in them: what happened in the measured time, what
/// happened in all, and the measured time in seconds.
pub(super) fn figures(
    report: &LoadReport,
    measured: &StatsWindow,
    all: &StatsWindow,
    seconds: f64,
) -> Figures {
    let rates = &all.rates;
    let wanted = f64::from(report.plan.snapshot_rate_hz);
    let totals = &report.totals;
    let answered = report.latency.input_to_state_ms.as_ref();
    let bytes = rates.bytes_p95();
    let counted = || counted(report);
    let cpu: Vec<f64> = counted().filter_map(|row| row.server_cpu).collect();
    let memory = report.series.iter().filter_map(|row| row.server_rss_bytes);
    let settled = report.settled.as_ref().zip(report.baseline.as_ref());
    let left = settled.map(|(after, before)| after.since(before));
    let left = left.unwrap_or_default();
    Figures {
        void: false,
        void_reason: None,
        players: report.plan.players,
        matches: report.plan.matches,
        seconds,
        ticks_per_s: report.tick.ticks_per_s,
        tick_p50_ms: report.tick.p50_ms,
        tick_p99_ms: report.tick.p99_ms,
        input_to_state_p50_ms: answered.map(|times| times.p50),
        input_to_state_p95_ms: answered.map(|times| times.p95),
        input_to_state_p99_ms: answered.map(|times| times.p99),
        snapshots_per_s: rates.snapshots_median(),
        state_rate_median: rates.snapshots_median().map(|rate| rate / wanted),
        state_rate_min: rates.snapshots_min().map(|rate| rate / wanted),
        connected: totals.connected,
        refused: totals.refused,
        refused_ms_p99: report.latency.refusal_ms.as_ref().map(|times| times.p99),
        refused_without_retry: totals.refused.saturating_sub(totals.refused_saying_when),
        disconnects: totals.disconnects,
        bytes_down_per_s_p95: bytes.map(|bytes| bytes.0),
        bytes_up_per_s_p95: bytes.map(|bytes| bytes.1),
        server_cpu_cores: mean(&cpu),
        server_rss_mib_max: memory.reduce(f64::max).map(|bytes| bytes / MIB),
        rss_growth_last_30s_mib: growth_at_the_end(counted()),
        own_lag_ms_p99: measured.lag.ms_at(0.99),
        network_lag_ms_p99: measured.network_lag.ms_at(0.99),
        kills: totals.kills,
        clients: client_counts::figures(&measured.clients, &all.clients),
        session: None,
        rss_growth_mib: left.rss_mib,
        files_left: left.files,
        tasks_left: left.tasks,
        entities_left: left.entities,
    }
}

/// The seconds that count.
fn counted(report: &LoadReport) -> impl Iterator<Item = &Second> {
    let from = report.plan.ramp_s + 1.0 - EDGE_S;
    report.series.iter().filter(move |row| row.at_s > from)
}

/// None when less time counts than growth is looked for in.
fn growth_at_the_end<'a>(counted: impl Iterator<Item = &'a Second>) -> Option<f64> {
    let known = |row: &Second| Some((row.at_s, row.server_rss_bytes?));
    let rows: Vec<(f64, f64)> = counted.filter_map(known).collect();
    let (end, after) = rows.last()?;
    let since = end - GROWTH_S;
    let long_ago = |row: &&(f64, f64)| row.0 <= since + EDGE_S;
    let (_, before) = rows.iter().rfind(long_ago)?;
    Some((after - before) / MIB)
}

fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u32) -> Vec<Second> {
        let second = |at: u32| Second {
            at_s: f64::from(at) + 0.01,
            server_rss_bytes: Some((100.0 + f64::from(at)) * MIB),
            server_cpu: Some(if at <= 2 { 4.0 } else { 0.5 }),
            ..Second::default()
        };
        (1..=count).map(second).collect()
    }

    #[test]
    fn what_counts_begins_after_the_ramp() {
        let mut report = LoadReport {
            series: seconds(40),
            ..LoadReport::default()
        };
        report.plan.ramp_s = 2.0;
        report.plan.snapshot_rate_hz = 20;
        let figures = figures(
            &report,
            &StatsWindow::default(),
            &StatsWindow::default(),
            38.0,
        );
        assert_eq!(figures.server_cpu_cores, Some(0.5));
        assert_eq!(figures.server_rss_mib_max, Some(140.0));
        assert_eq!(figures.rss_growth_last_30s_mib, Some(30.0));
        assert_eq!(figures.state_rate_min, None);
        let json = serde_json::to_value(&figures).unwrap();
        assert!(json.get("state_rate_min").is_none(), "absent, not null");
    }

    #[test]
    fn growth_in_half_a_minute_needs_half_a_minute() {
        assert_eq!(growth_at_the_end(seconds(20).iter()), None);
        assert_eq!(growth_at_the_end(seconds(31).iter()), Some(30.0));
    }
}
