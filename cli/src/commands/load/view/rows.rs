//! The figures of a run, one a line: its name, what it is now, whether that is as it should be, and
//! how it went in the last minute.

use gameserver_client_sim::report::{LoadReport, RunOutcome, Second};
use ratatui::style::{Color, Style};

/// Seconds that a trend shows.
pub(super) const TREND_SECONDS: usize = 60;
/// Trends are drawn of whole numbers.
const TREND_PARTS: f64 = 1e3;
/// Share of a limit from which a figure is marked, and of a rate below which it is bad.
const NEAR: f64 = 0.8;
/// Share of a rate that is as good as all of it.
const ENOUGH: f64 = 0.95;
/// What fills the height of a trend that has no measure but itself.
const ANY: f64 = 1e-3;
const MIB: f64 = 1_048_576.0;

/// One line of figures.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) trend: Option<Trend>,
}

/// How a figure of the last minute went.
#[derive(Debug, Clone)]
pub(super) struct Trend {
    values: Vec<Option<f64>>,
    /// What fills the height at least.
    pub(super) full: f64,
    worse: Worse,
}

/// Which of several seconds that share a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worse {
    High,
    Low,
}

/// Whether a figure is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Near,
    Bad,
}

impl Tone {
    pub(super) fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => Style::new().fg(Color::Green),
            Self::Near => Style::new().fg(Color::Yellow),
            Self::Bad => Style::new().fg(Color::Red),
        }
    }

    /// Of a value that should stay below this.
    fn below(value: Option<f64>, limit: f64) -> Self {
        match value {
            None => Self::Plain,
            Some(value) if value > limit => Self::Bad,
            Some(value) if value > limit * NEAR => Self::Near,
            Some(_) => Self::Good,
        }
    }

    /// Of a value that should reach this, nearly.
    fn reaching(value: Option<f64>, wanted: f64) -> Self {
        match value {
            None => Self::Plain,
            Some(value) if value < wanted * NEAR => Self::Bad,
            Some(value) if value < wanted * ENOUGH => Self::Near,
            Some(_) => Self::Good,
        }
    }
}

/// All of them.
pub(super) fn rows(report: &LoadReport) -> Vec<Row> {
    let now = report.series.last().cloned().unwrap_or_default();
    let [crowd, ticks] = [crowd_rows(report, &now), tick_rows(report, &now)];
    let [clients, processes] = [client_rows(report, &now), process_rows(report, &now)];
    [crowd, ticks, clients, processes].concat()
}

fn crowd_rows(report: &LoadReport, now: &Second) -> Vec<Row> {
    let (plan, totals) = (&report.plan, &report.totals);
    let watching = match plan.spectators {
        0 => String::new(),
        all => format!(", {} of {all} watch", now.spectators),
    };
    let playing = format!("{} of {} play{watching}", now.players, plan.players);
    let came = match plan.churn_per_s {
        0 => format!("{} let in", totals.connected),
        _ => format!("+{} −{}", totals.churn_joins, totals.churn_leaves),
    };
    let (refused, lost) = (totals.refused, totals.disconnects);
    let lost = format!("{came}, {refused} refused, {lost} disconnects");
    let everybody = (Worse::Low, f64::from(plan.players));
    vec![
        Row::new("players", playing).over(report, everybody, |row| Some(row.players as f64)),
        Row::new("connections", lost).toned(match totals.refused + totals.disconnects {
            0 => Tone::Good,
            _ => Tone::Bad,
        }),
    ]
}

fn tick_rows(report: &LoadReport, now: &Second) -> Vec<Row> {
    let rate = f64::from(report.plan.tick_rate_hz);
    let budget_ms = 1e3 / rate.max(1.0);
    let used = now.tick_p99_ms.map_or(String::new(), |p99| {
        format!(", {:.0} % of {budget_ms:.1}", 100.0 * p99 / budget_ms)
    });
    let ticks = format!("{} of {rate}", number(now.ticks_per_s, ""));
    vec![
        Row::new("tick p50", number(now.tick_p50_ms, " ms"))
            .toned(Tone::below(now.tick_p50_ms, budget_ms))
            .over(report, (Worse::High, budget_ms), |row| row.tick_p50_ms),
        Row::new("tick p99", number(now.tick_p99_ms, " ms") + &used)
            .toned(Tone::below(now.tick_p99_ms, budget_ms))
            .over(report, (Worse::High, budget_ms), |row| row.tick_p99_ms),
        Row::new("ticks/s", ticks)
            .toned(Tone::reaching(now.ticks_per_s, rate))
            .over(report, (Worse::Low, rate), |row| row.ticks_per_s),
    ]
}

fn client_rows(report: &LoadReport, now: &Second) -> Vec<Row> {
    let rate = f64::from(report.plan.snapshot_rate_hz);
    let all = number(report.figures.input_to_state_p95_ms, "");
    let [p50, p95] = [now.input_to_state_p50_ms, now.input_to_state_p95_ms];
    let [p50, p95] = [p50, p95].map(|ms| number(ms, ""));
    let [middle, fewest] = [now.snapshots_per_s, now.snapshots_per_s_min];
    let [middle, fewest] = [middle, fewest].map(|rate| number(rate, ""));
    let any = (Worse::High, ANY);
    vec![
        Row::new(
            "input → state",
            format!("p50 {p50} p95 {p95} ms, in all p95 {all}"),
        )
        .over(report, any, |row| row.input_to_state_p95_ms),
        Row::new("snapshots/s", format!("{middle} of {rate}, least {fewest}"))
            .toned(Tone::reaching(now.snapshots_per_s, rate))
            .over(report, (Worse::Low, rate), |row| row.snapshots_per_s),
    ]
}

fn process_rows(report: &LoadReport, now: &Second) -> Vec<Row> {
    let mib = |second: &Second| second.server_rss_bytes.map(|bytes| bytes / MIB);
    let left = report.left_behind();
    let memory = left.unwrap_or_else(|| number(mib(now), " MiB"));
    let lag = number(now.bots_lag_max_ms, " ms");
    let lag = format!(
        "{lag} at most, in all p99 {}",
        number(report.figures.own_lag_ms_p99, "")
    );
    let any = (Worse::High, ANY);
    vec![
        Row::new("server CPU", number(now.server_cpu, " cores"))
            .over(report, any, |row| row.server_cpu),
        Row::new("server memory", memory).over(report, any, mib),
        Row::new("bots' CPU", number(now.bots_cpu, " cores")).over(report, any, |row| row.bots_cpu),
        Row::new("bots' own lag", lag)
            .toned(match report.verdict.state {
                RunOutcome::Void => Tone::Bad,
                RunOutcome::Passed | RunOutcome::Failed => Tone::Plain,
            })
            .over(report, any, |row| row.bots_lag_max_ms),
    ]
}

/// Two digits below ten, one from there on.
pub(super) fn number(value: Option<f64>, unit: &str) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() < 9.995 => format!("{value:.2}{unit}"),
        Some(value) => format!("{value:.1}{unit}"),
    }
}

impl Row {
    fn new(name: &'static str, text: String) -> Self {
        Self {
            name,
            text,
            tone: Tone::Plain,
            trend: None,
        }
    }

    fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// With a trend that has a second's height when it is this.
    fn over(
        self,
        report: &LoadReport,
        (worse, full): (Worse, f64),
        of: impl Fn(&Second) -> Option<f64>,
    ) -> Self {
        let from = report.series.len().saturating_sub(TREND_SECONDS);
        let values = report.series[from..].iter().map(of).collect();
        let trend = Trend {
            values,
            full,
            worse,
        };
        Self {
            trend: Some(trend),
            ..self
        }
    }
}

impl Trend {
    /// One value for each column, the newest at the right. Seconds that share a column show the
    /// worst of them.
    pub(super) fn columns(&self, width: u16) -> Vec<Option<u64>> {
        let seconds = TREND_SECONDS.div_ceil(usize::from(width.max(1)));
        let worst = |seconds: &[Option<f64>]| {
            let told = seconds.iter().flatten().copied();
            let worst = match self.worse {
                Worse::High => told.reduce(f64::max),
                Worse::Low => told.reduce(f64::min),
            };
            worst.map(parts)
        };
        let mut columns: Vec<_> = self.values.rchunks(seconds).map(worst).collect();
        columns.reverse();
        columns
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is drawn is not negative, and saturates"
)]
pub(super) fn parts(value: f64) -> u64 {
    (value * TREND_PARTS) as u64
}
