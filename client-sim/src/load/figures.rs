//! The numbers of a report that scripts and gates read, all in one place.

use serde::Serialize;

use super::books::Page;
use super::native::CanaryFigures;
use super::report::{LoadReport, Second, State};

const MIB: f64 = 1_048_576.0;
/// Time over which growth of memory is looked for at the end.
const GROWTH_S: f64 = 30.0;
/// Seconds are told a little early or late.
const EDGE_S: f64 = 0.5;

/// A run in numbers. These are the report's top-level fields, and part of the contract with
/// scripts; what was not measured is left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// The run says nothing of the server.
    pub void: bool,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub void_reason: Option<String>,
    /// Players that were asked for.
    pub players: u32,
    /// Matches that they were spread over.
    pub matches: u32,
    /// Time that counted.
    pub seconds: f64,
    /// Ticks a second of one match, the mean over all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticks_per_s: Option<f64>,
    /// Half of the server's ticks take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_p50_ms: Option<f64>,
    /// All but one of a hundred take no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_p99_ms: Option<f64>,
    /// From sending an input to having its state, the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_to_state_p50_ms: Option<f64>,
    /// The same, all but one of twenty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_to_state_p95_ms: Option<f64>,
    /// The same, all but one of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_to_state_p99_ms: Option<f64>,
    /// Snapshots a second of the bot in the middle, over its whole time that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots_per_s: Option<f64>,
    /// The same as a share of the game's rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_rate_median: Option<f64>,
    /// The same of the bot with the fewest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_rate_min: Option<f64>,
    /// Bots that were let in.
    pub connected: u64,
    /// Bots that were not.
    pub refused: u64,
    /// From asking for a seat to being refused, all but one of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_ms_p99: Option<f64>,
    /// Refusals that did not say when to try again.
    pub refused_without_retry: u64,
    /// Connections that ended without being asked to.
    pub disconnects: u64,
    /// Payload bytes a second that all but one of twenty bots do not exceed, received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_down_per_s_p95: Option<f64>,
    /// The same, sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_up_per_s_p95: Option<f64>,
    /// Cores that the server used, the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_cores: Option<f64>,
    /// Memory of the server at most, ramp included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_rss_mib_max: Option<f64>,
    /// What it grew by in the last 30 seconds that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_growth_last_30s_mib: Option<f64>,
    /// How late the bots' own work began, all but one of a hundred cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_lag_ms_p99: Option<f64>,
    /// How long tasks of the bots' network waited for their turn, all but one of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_lag_ms_p99: Option<f64>,
    /// Opponents defeated, by all players.
    pub kills: u64,
    /// What whole clients among the players found.
    #[serde(flatten)]
    pub canaries: Option<CanaryFigures>,
    /// Memory that the server had more, after everybody had left, than before anybody came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_growth_mib: Option<f64>,
    /// The same of open files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_left: Option<f64>,
    /// The same of tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_left: Option<f64>,
    /// The same of entities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities_left: Option<f64>,
}

impl Figures {
    /// From the parts of the report, and what is not in them: the time that counts, in seconds,
    /// what happened in it, and what happened in all.
    pub(super) fn of(report: &LoadReport, in_time: &Page, all: &Page, seconds: f64) -> Self {
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
        Self {
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
            own_lag_ms_p99: in_time.lag.ms_at(0.99),
            network_lag_ms_p99: in_time.network_lag.ms_at(0.99),
            kills: totals.kills,
            canaries: CanaryFigures::of(&in_time.canaries, &all.canaries),
            rss_growth_mib: left.rss_mib,
            files_left: left.files,
            tasks_left: left.tasks,
            entities_left: left.entities,
        }
    }

    /// The verdict, in the words of scripts.
    pub(super) fn take_verdict(&mut self, state: State, reasons: &[String]) {
        self.void = state == State::Void;
        self.void_reason = self.void.then(|| reasons.join(" "));
    }
}

/// The seconds that count.
fn counted(report: &LoadReport) -> impl Iterator<Item = &Second> {
    let from = report.plan.ramp_s + 1.0 - EDGE_S;
    report.series.iter().filter(move |row| row.at_s > from)
}

/// None when less time counts than growth is looked for in.
fn growth_at_the_end<'a>(counted: impl Iterator<Item = &'a Second>) -> Option<f64> {
    let told = |row: &Second| Some((row.at_s, row.server_rss_bytes?));
    let rows: Vec<(f64, f64)> = counted.filter_map(told).collect();
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
        let figures = Figures::of(&report, &Page::default(), &Page::default(), 38.0);
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
