//! What a run found, as JSON for programs and as a page for people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::books::Times;
use super::gates::Checked;
use super::machine::Machine;
use super::native::CanaryFigures;

/// The page; the report stands in it as JSON.
const PAGE: &str = include_str!("report.html");
/// Where the report stands in the page.
const PLACE: &str = "__REPORT__";
/// Bars in the histogram of a latency.
const ROWS_MAX: u64 = 60;

/// Everything that a run found. The names are part of the contract with scripts.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    /// Of this form.
    pub version: u32,
    /// What was done, in one line.
    pub title: String,
    /// When, as RFC 3339 has it.
    pub began_at: String,
    /// On what.
    pub machine: Machine,
    /// What was asked for.
    pub plan: Plan,
    /// Whether it holds.
    pub verdict: Verdict,
    /// The limits that it had to keep.
    pub gates: Vec<Checked>,
    /// Sums.
    pub totals: Totals,
    /// Times.
    pub latency: Latencies,
    /// The server's ticks.
    pub tick: Ticks,
    /// What whole clients among the players found.
    #[serde(flatten)]
    pub canaries: Option<CanaryFigures>,
    /// Second by second.
    pub series: Vec<Second>,
    /// How bots ended.
    pub ends: Vec<End>,
}

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// The game.
    pub game: String,
    /// Its mode.
    pub mode: String,
    /// `thin`, `native` or `mixed`.
    pub protocol: String,
    /// `quic` or `websocket`.
    pub transport: String,
    /// The network between.
    pub conditions: String,
    /// Players in all.
    pub players: u32,
    /// Of these, whole clients.
    pub canaries: u32,
    /// Those who watch.
    pub spectators: u32,
    /// Matches that they are spread over.
    pub matches: u32,
    /// Seconds in which they come.
    pub ramp_s: f64,
    /// Seconds that count, after the ramp.
    pub seconds: f64,
    /// Seed of their behaviour.
    pub seed: u64,
    /// The game's ticks a second.
    pub tick_rate_hz: u16,
    /// The game's snapshots a second.
    pub snapshot_rate_hz: u16,
}

/// Whether a run holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The short form.
    pub state: State,
    /// Why not, in sentences.
    pub reasons: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every gate held.
    Passed,
    /// A gate did not hold.
    Failed,
    /// The load generator was the bottleneck: the figures say nothing of the server.
    Void,
}

/// Sums of the part that counts, except for arrivals, which are of the whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    /// Bots that were let in.
    pub connected: u64,
    /// Bots that were not.
    pub refused: u64,
    /// Connections that ended before the run did.
    pub disconnects: u64,
    /// Inputs sent.
    pub inputs_sent: u64,
    /// Ticks that the server simulated without the player's input.
    pub inputs_late: f64,
    /// Snapshots taken in.
    pub snapshots: u64,
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Payload bytes sent.
    pub bytes_out: u64,
    /// Opponents defeated by those who were there at the end.
    pub kills: u64,
    /// Datagrams that the kernel dropped for want of room, on this machine.
    pub kernel_drops: Option<u64>,
}

/// Times that bots measured.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Latencies {
    /// From sending a tick's input to having the state of that tick.
    pub input_to_state_ms: Option<Latency>,
    /// Round trips of the transport.
    pub rtt_ms: Option<Latency>,
    /// From asking for a seat to being let in.
    pub join_ms: Option<Latency>,
}

/// One kind of times, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// How many there are.
    pub count: u64,
    /// Half of them are no longer.
    pub p50: f64,
    /// Nine of ten are no longer.
    pub p90: f64,
    /// Nineteen of twenty are no longer.
    pub p95: f64,
    /// All but one of a hundred are no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Upper ends, and how many lie below each and above the one before.
    pub histogram: Vec<(f64, u64)>,
}

impl Latency {
    /// None without any.
    pub(super) fn of(times: &Times) -> Option<Self> {
        Some(Self {
            count: times.count(),
            p50: times.ms_at(0.5)?,
            p90: times.ms_at(0.9)?,
            p95: times.ms_at(0.95)?,
            p99: times.ms_at(0.99)?,
            max: times.ms_at(1.0)?,
            histogram: times.rows(ROWS_MAX),
        })
    }
}

/// The server's ticks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ticks {
    /// Half of them take no longer.
    pub p50_ms: Option<f64>,
    /// All but one of a hundred take no longer.
    pub p99_ms: Option<f64>,
    /// Ticks a second of one match, the mean over all.
    pub ticks_per_s: Option<f64>,
}

/// One second of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Second {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Bots that play.
    pub players: usize,
    /// Bots that watch.
    pub spectators: usize,
    /// Snapshots a second of one bot, the median.
    pub snapshots_per_s: Option<f64>,
    /// The same of the bot with the fewest.
    pub snapshots_per_s_min: Option<f64>,
    /// Input to state, the median.
    pub input_to_state_p50_ms: Option<f64>,
    /// The same, all but one of twenty.
    pub input_to_state_p95_ms: Option<f64>,
    /// Round trip, the median.
    pub rtt_p50_ms: Option<f64>,
    /// The server's ticks, the median.
    pub tick_p50_ms: Option<f64>,
    /// The same, all but one of a hundred.
    pub tick_p99_ms: Option<f64>,
    /// Ticks a second of one match.
    pub ticks_per_s: Option<f64>,
    /// Share of a core that the server uses.
    pub server_cpu: Option<f64>,
    /// Memory of the server.
    pub server_rss_bytes: Option<f64>,
    /// Open files of the server.
    pub server_files: Option<f64>,
    /// Threads of the server.
    pub server_threads: Option<f64>,
    /// Share of a core that the bots use.
    pub bots_cpu: Option<f64>,
    /// How late the bots' own work began at worst.
    pub bots_lag_max_ms: Option<f64>,
    /// Payload kilobytes that a bot received.
    pub kb_in_per_player: f64,
    /// Payload kilobytes that a bot sent.
    pub kb_out_per_player: f64,
    /// Connections that ended.
    pub disconnects: u64,
}

/// How bots ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// The reason.
    pub why: String,
    /// How many so.
    pub count: u64,
}

pub(super) fn ends(by_reason: &BTreeMap<String, u64>) -> Vec<End> {
    let rows = by_reason.iter().map(|(why, count)| End {
        why: why.clone(),
        count: *count,
    });
    rows.collect()
}

impl LoadReport {
    /// The report as one page that needs nothing else.
    ///
    /// # Errors
    ///
    /// Never for plain data.
    pub fn page(&self) -> serde_json::Result<String> {
        // No text may end the script that holds it.
        let json = serde_json::to_string(self)?.replace('<', "\\u003c");
        Ok(PAGE.replacen(PLACE, &json, 1))
    }

    /// What to say while it goes on.
    #[must_use]
    pub fn summary(&self) -> String {
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
        let latency = self.latency.input_to_state_ms.as_ref();
        let mut lines = vec![
            format!("{}: {}", self.title, self.verdict.headline()),
            format!(
                "  tick p50 {}, p99 {}, {} ticks/s",
                ms(self.tick.p50_ms),
                ms(self.tick.p99_ms),
                self.tick
                    .ticks_per_s
                    .map_or("–".to_owned(), |rate| format!("{rate:.2}")),
            ),
            format!(
                "  input to state p50 {}, p95 {}, p99 {}",
                ms(latency.map(|times| times.p50)),
                ms(latency.map(|times| times.p95)),
                ms(latency.map(|times| times.p99)),
            ),
            format!(
                "  {} let in, {} refused, {} disconnects, {} inputs late, {} kills",
                self.totals.connected,
                self.totals.refused,
                self.totals.disconnects,
                self.totals.inputs_late,
                self.totals.kills,
            ),
        ];
        lines.extend(
            self.canaries
                .iter()
                .map(|found| format!("  {}", found.line())),
        );
        lines.extend(self.gates.iter().map(|gate| format!("  {gate}")));
        lines.extend(self.verdict.reasons.iter().map(|why| format!("  {why}")));
        lines.join("\n")
    }
}

impl Verdict {
    fn headline(&self) -> &'static str {
        match self.state {
            State::Passed => "passed",
            State::Failed => "failed",
            State::Void => "void",
        }
    }
}

impl Second {
    /// One line for a log.
    #[must_use]
    pub fn line(&self) -> String {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
        let share = |value: Option<f64>| {
            value.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0))
        };
        format!(
            "{:5.0} s  {:5} players  tick p50 {} p99 {} ms  {} ticks/s  input-state p95 {} ms  \
             {} snapshots/s (min {})  server {}  {:.0} MB  bots {}  lag {} ms",
            self.at_s,
            self.players,
            number(self.tick_p50_ms),
            number(self.tick_p99_ms),
            number(self.ticks_per_s),
            number(self.input_to_state_p95_ms),
            number(self.snapshots_per_s),
            number(self.snapshots_per_s_min),
            share(self.server_cpu),
            self.server_rss_bytes.unwrap_or_default() / 1e6,
            share(self.bots_cpu),
            number(self.bots_lag_max_ms),
        )
    }
}
