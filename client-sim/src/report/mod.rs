//! What a run of `bots` or `load` found: one report for people and programs.
//!
//! Holds results only; it knows neither threads nor the network.

mod figures;
mod table;
mod text;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::bot::BotStats;
use crate::machine::Machine;
pub use figures::{ClientFigures, Figures, SessionFigures};

/// The page for people; the report stands in it as JSON.
const PAGE: &str = include_str!("page.html");
/// Where the report stands in the page.
const PLACEHOLDER: &str = "__REPORT__";

/// Everything that a run found. The names are part of the contract with scripts.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoadReport {
    /// Version of this format.
    pub version: u32,
    /// What was done, in one line.
    pub title: String,
    /// When, as RFC 3339 has it.
    pub began_at: String,
    /// The command that repeats it, word by word.
    pub command: Vec<String>,
    /// The bots' machine.
    pub machine: Machine,
    /// What was asked for.
    pub plan: Scenario,
    /// Whether it passes.
    pub verdict: RunVerdict,
    /// The numbers that scripts read, at the top level.
    #[serde(flatten)]
    pub figures: Figures,
    /// The limits that it had to keep.
    pub gates: Vec<GateResult>,
    /// Sums.
    pub totals: Totals,
    /// Times.
    pub latency: Latencies,
    /// The server's ticks.
    pub tick: TickTimes,
    /// Second by second.
    pub series: Vec<Second>,
    /// How bots ended.
    pub ends: Vec<EndCount>,
    /// What the server occupied before anybody came.
    pub baseline: Option<Footprint>,
    /// What it occupied when it had been left alone for a while.
    pub settled: Option<Footprint>,
    /// Each full client's numbers, when everybody is one.
    #[serde(skip)]
    pub bots: Vec<BotStats>,
}

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Scenario {
    /// The game.
    pub game: String,
    /// Its mode.
    pub mode: String,
    /// `thin`, `native` or `mixed`.
    pub protocol: String,
    /// `quic` or `websocket`.
    pub transport: String,
    /// The network between: `none`, or what is done to it, such as `delay=40ms,loss=1%`.
    pub conditions: String,
    /// Players in all.
    pub players: u32,
    /// Of these, full clients.
    pub canaries: u32,
    /// Ticks whose inputs light native players put into one packet, where it is not the game's
    /// number.
    pub packet_ticks: Option<u16>,
    /// Spectators.
    pub spectators: u32,
    /// Matches that they are spread over.
    pub matches: u32,
    /// Seconds in which they join.
    pub ramp_s: f64,
    /// Seconds that count, after the ramp.
    pub seconds: f64,
    /// Players a second who left after the ramp, and as many who came.
    pub churn_per_s: u32,
    /// Seed of their behaviour.
    pub seed: u64,
    /// The game's ticks a second.
    pub tick_rate_hz: u16,
    /// The game's snapshots a second.
    pub snapshot_rate_hz: u16,
}

/// Whether a run passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunVerdict {
    /// The short form.
    pub state: RunOutcome,
    /// Why not, in sentences.
    pub reasons: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// Every gate passes.
    #[default]
    Passed,
    /// A gate fails.
    Failed,
    /// The load generator was the bottleneck: the figures say nothing of the server.
    Void,
}

/// Sums of the part that counts, except for arrivals, which are of the whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    /// Bots that were admitted.
    pub connected: u64,
    /// Bots that were refused.
    pub refused: u64,
    /// Refused bots that know when to try again.
    pub refused_saying_when: u64,
    /// Connections that ended before the run did, without being asked to.
    pub disconnects: u64,
    /// Bots that joined after the ramp, in place of others.
    pub churn_joins: u64,
    /// Bots that left after the ramp because they were asked to.
    pub churn_leaves: u64,
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
    /// Opponents defeated, by all players.
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
    /// From asking for a seat to being admitted.
    pub join_ms: Option<Latency>,
    /// From asking for a seat to being refused.
    pub refusal_ms: Option<Latency>,
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

/// Times of the server's ticks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TickTimes {
    /// Half of them take no longer.
    pub p50_ms: Option<f64>,
    /// All but one of a hundred take no longer.
    pub p99_ms: Option<f64>,
    /// Ticks a second of one match, the mean over all.
    pub ticks_per_s: Option<f64>,
    /// What they consist of, in their order; empty when the server does not report them.
    pub parts: Vec<TickPartTimes>,
}

/// A part of the server's ticks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TickPartTimes {
    /// Its name, as the server's metrics have it.
    pub name: String,
    /// Microseconds of a tick on average.
    pub mean_us: f64,
    /// All but one of a hundred ticks take no longer for it, microseconds.
    pub p99_us: f64,
    /// Of all time that ticks took, 0–1.
    pub share: f64,
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
    /// How late the bots' own work, or that of their network, began at worst.
    pub bots_lag_max_ms: Option<f64>,
    /// Payload kilobytes that a bot received.
    pub kb_in_per_player: f64,
    /// Payload kilobytes that a bot sent.
    pub kb_out_per_player: f64,
    /// Connections that ended.
    pub disconnects: u64,
}

/// How many bots ended for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndCount {
    /// The reason.
    pub why: String,
    /// How many bots.
    pub count: u64,
}

/// What a server occupies at one moment; what it does not report is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Footprint {
    /// Resident memory, MiB.
    pub rss_mib: Option<f64>,
    /// Open files, sockets among them.
    pub files: Option<f64>,
    /// Tasks that are alive.
    pub tasks: Option<f64>,
    /// Entities of all matches.
    pub entities: Option<f64>,
}

impl Footprint {
    /// What there is more of than before.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let more = |now: Option<f64>, then: Option<f64>| Some(now? - then?);
        Self {
            rss_mib: more(self.rss_mib, before.rss_mib),
            files: more(self.files, before.files),
            tasks: more(self.tasks, before.tasks),
            entities: more(self.entities, before.entities),
        }
    }
}

/// A gate and the figure that it limits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateResult {
    /// The figure.
    pub name: String,
    /// What was measured; none when it could not be.
    pub value: Option<f64>,
    /// What it may be, at most or at least.
    pub limit: f64,
    /// Whether the gate passes; a figure that was not measured fails it.
    pub passed: bool,
}

impl fmt::Display for GateResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed { "holds" } else { "FAILS" };
        match self.value {
            Some(value) => write!(f, "gate {word}: {} = {value:.3}", self.name)?,
            None => write!(f, "gate {word}: {} was not measured", self.name)?,
        }
        write!(f, " (limit {})", self.limit)
    }
}

impl LoadReport {
    /// The report in the format that the file's name asks for: a page that needs nothing else for
    /// `.html`, JSON otherwise.
    ///
    /// # Errors
    ///
    /// Never for plain data.
    pub fn render(&self, file: &Path) -> serde_json::Result<String> {
        if file.extension().is_none_or(|extension| extension != "html") {
            return serde_json::to_string_pretty(self);
        }
        // No text may end the script that holds it.
        let json = serde_json::to_string(self)?.replace('<', "\\u003c");
        Ok(PAGE.replacen(PLACEHOLDER, &json, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_what_there_is_more_of_than_before() {
        let before = Footprint {
            rss_mib: Some(30.0),
            files: Some(20.0),
            tasks: None,
            entities: Some(0.0),
        };
        let after = Footprint {
            rss_mib: Some(42.5),
            files: Some(19.0),
            tasks: Some(4.0),
            entities: Some(0.0),
        };
        let left = after.since(&before);
        assert_eq!((left.rss_mib, left.files), (Some(12.5), Some(-1.0)));
        assert_eq!((left.tasks, left.entities), (None, Some(0.0)));
    }
}
