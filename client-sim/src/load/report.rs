//! What a run found, as JSON for programs and as a page for people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::books::Times;
use super::figures::Figures;
use super::gates::Checked;
use super::machine::Machine;
use super::server::{self, PartTimes};

/// The page; the report stands in it as JSON.
const PAGE: &str = include_str!("report.html");
/// Where the report stands in the page.
const PLACE: &str = "__REPORT__";
/// Bars in the histogram of a latency.
const ROWS_MAX: u64 = 60;

/// Everything that a run found. The names are part of the contract with scripts.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoadReport {
    /// Of this form.
    pub version: u32,
    /// What was done, in one line.
    pub title: String,
    /// When, as RFC 3339 has it.
    pub began_at: String,
    /// The words of the command that repeats it.
    pub command: Vec<String>,
    /// The bots' machine.
    pub machine: Machine,
    /// What was asked for.
    pub plan: Plan,
    /// Whether it holds.
    pub verdict: Verdict,
    /// The numbers that scripts read, at the top level.
    #[serde(flatten)]
    pub figures: Figures,
    /// The limits that it had to keep.
    pub gates: Vec<Checked>,
    /// Sums.
    pub totals: Totals,
    /// Times.
    pub latency: Latencies,
    /// The server's ticks.
    pub tick: Ticks,
    /// Second by second.
    pub series: Vec<Second>,
    /// How bots ended.
    pub ends: Vec<End>,
    /// What the server occupied before anybody came.
    pub baseline: Option<Footprint>,
    /// What it occupied when it had been left alone for a while.
    pub settled: Option<Footprint>,
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
    /// The network between: `none`, or what is done to it, such as `delay=40ms,loss=1%`.
    pub conditions: String,
    /// Players in all.
    pub players: u32,
    /// Of these, whole clients.
    pub canaries: u32,
    /// Ticks whose inputs light native players put into one packet, where it is not the game's
    /// number.
    pub packet_ticks: Option<u16>,
    /// Those who watch.
    pub spectators: u32,
    /// Matches that they are spread over.
    pub matches: u32,
    /// Seconds in which they come.
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

/// Whether a run holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The short form.
    pub state: State,
    /// Why not, in sentences.
    pub reasons: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every gate held.
    #[default]
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
    /// Those of them that were told when to try again.
    pub refused_saying_when: u64,
    /// Connections that ended before the run did, without being asked to.
    pub disconnects: u64,
    /// Bots that were let in after the ramp, in the place of others.
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
    /// From asking for a seat to being let in.
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
    /// What they consist of, in their order; empty when the server does not tell.
    pub parts: Vec<Part>,
}

/// A part of the server's ticks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its name, as the server's metrics have it.
    pub name: String,
    /// Microseconds of a tick on average.
    pub mean_us: f64,
    /// All but one of a hundred ticks take no longer for it, microseconds.
    pub p99_us: f64,
    /// Of all time that ticks took, 0–1.
    pub share: f64,
}

/// The server's order, which its metrics page does not keep; parts of other versions come last.
const PARTS_IN_ORDER: [&str; 14] = [
    "receive",
    "read_inputs",
    "simulate",
    "resolve_hits",
    "apply_rules",
    "hash_state",
    "record",
    "publish",
    "tell",
    "capture",
    "look",
    "send_snapshots",
    "replicate",
    "after_work",
];

/// Mean, p99 and share of each part that was measured at all.
pub(super) fn parts(by_name: &BTreeMap<String, PartTimes>) -> Vec<Part> {
    let whole_s: f64 = by_name.values().map(|times| times.sum_s).sum();
    let measured = by_name.iter().filter(|(_, times)| times.count > 0.0);
    let mut parts: Vec<Part> = measured
        .filter_map(|(name, times)| {
            Some(Part {
                name: name.clone(),
                mean_us: times.sum_s / times.count * 1e6,
                p99_us: server::ms_at(&times.buckets, 0.99)? * 1e3,
                share: times.sum_s / whole_s.max(f64::MIN_POSITIVE),
            })
        })
        .collect();
    let place = |name: &str| PARTS_IN_ORDER.iter().position(|known| *known == name);
    parts.sort_by_key(|part| place(&part.name).unwrap_or(usize::MAX));
    parts
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

/// How bots ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// The reason.
    pub why: String,
    /// How many so.
    pub count: u64,
}

/// What a server occupies at one moment; absent is what it does not tell.
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
                "  {} let in, {} refused ({} told when to try again), {} disconnects, \
                 {} inputs late, {} kills",
                self.totals.connected,
                self.totals.refused,
                self.totals.refused_saying_when,
                self.totals.disconnects,
                self.totals.inputs_late,
                self.totals.kills,
            ),
        ];
        lines.extend(self.part_lines());
        let canaries = self.figures.canaries.iter();
        lines.extend(canaries.map(|found| format!("  {}", found.line())));
        lines.extend(self.churn_line());
        let left = self.left_behind();
        lines.extend(left.map(|left| format!("  everybody gone, against before: {left}")));
        lines.extend(self.gates.iter().map(|gate| format!("  {gate}")));
        lines.extend(self.verdict.reasons.iter().map(|why| format!("  {why}")));
        lines.join("\n")
    }
}

impl LoadReport {
    fn part_lines(&self) -> Vec<String> {
        let parts = &self.tick.parts;
        let title = (!parts.is_empty()).then(|| "  parts of a tick: mean, p99 µs".to_owned());
        let lines = parts.iter().map(|part| {
            let Part {
                name,
                mean_us,
                p99_us,
                share,
            } = part;
            let share = share * 100.0;
            format!("    {name:<15}{mean_us:8.0}{p99_us:9.0}{share:6.1} %")
        });
        title.into_iter().chain(lines).collect()
    }

    fn churn_line(&self) -> Option<String> {
        let (joins, leaves) = (self.totals.churn_joins, self.totals.churn_leaves);
        let any = self.plan.churn_per_s > 0;
        any.then(|| format!("  while it went on {joins} joined and {leaves} left"))
    }

    /// What the server has more than before it began; none before everybody has left.
    #[must_use]
    pub fn left_behind(&self) -> Option<String> {
        self.settled.as_ref()?;
        let more =
            |value: Option<f64>| value.map_or("–".to_owned(), |more| format!("{more:+.0}"));
        Some(format!(
            "{} MiB, {} files, {} tasks, {} entities",
            more(self.figures.rss_growth_mib),
            more(self.figures.files_left),
            more(self.figures.tasks_left),
            more(self.figures.entities_left),
        ))
    }
}

impl Verdict {
    /// The state in a word.
    #[must_use]
    pub fn headline(&self) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_the_order_of_a_tick_with_their_share_of_it() {
        let times = |sum_s: f64| PartTimes {
            buckets: [(1_000, 99.0), (2_000, 100.0)].into(),
            sum_s,
            count: 100.0,
        };
        let never = PartTimes::default();
        let by_name = [
            ("zeal".to_owned(), times(0.1)),
            ("look".to_owned(), times(0.1)),
            ("receive".to_owned(), times(0.2)),
            ("tell".to_owned(), never),
        ];
        let parts = parts(&by_name.into());
        let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["receive", "look", "zeal"]);
        assert!((parts[0].mean_us - 2_000.0).abs() < 1e-6, "{parts:?}");
        assert!((parts[0].share - 0.5).abs() < 1e-9 && (parts[0].p99_us - 1.0).abs() < 1e-9);
    }

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
