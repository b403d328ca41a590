//! What the server says of itself while it is under load: its metrics, read as Prometheus reads
//! them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::lobby::http_client;
use crate::report::{Footprint, TickPartTimes};

const MIB: f64 = 1_048_576.0;
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the metrics of one server.
#[derive(Debug)]
pub(super) struct ServerProbe {
    http: reqwest::Client,
    url: String,
    before: Option<(Instant, Sample)>,
}

/// Why nothing is known of the server.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Nobody answered there, or with an error.
    #[error("failed to read the server's metrics at {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// What answered is no server of ours.
    #[error("what answers at {url} has no metrics of a game server")]
    SomethingElse {
        /// What was asked.
        url: String,
    },
}

/// The server's numbers at one moment.
#[derive(Debug, Clone, Default)]
struct Sample {
    /// Ticks by upper end of their bucket in nanoseconds; each also counts those below.
    ticks: BTreeMap<u64, f64>,
    tick_count: f64,
    parts: BTreeMap<String, PartTimes>,
    cpu_s: Option<f64>,
    memory_bytes: Option<f64>,
    inputs_late: f64,
    files: Option<f64>,
    threads: Option<f64>,
    tasks: Option<f64>,
    entities: Option<f64>,
}

/// Times of one part of the ticks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PartTimes {
    /// By upper end of their bucket in nanoseconds; each also counts those below.
    pub(super) buckets: BTreeMap<u64, f64>,
    pub(super) sum_s: f64,
    pub(super) count: f64,
}

impl PartTimes {
    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else {
            return self.clone();
        };
        Self {
            buckets: difference(&self.buckets, &before.buckets),
            sum_s: self.sum_s - before.sum_s,
            count: self.count - before.count,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (upper, count) in &other.buckets {
            *self.buckets.entry(*upper).or_default() += count;
        }
        self.sum_s += other.sum_s;
        self.count += other.count;
    }
}

fn difference(after: &BTreeMap<u64, f64>, before: &BTreeMap<u64, f64>) -> BTreeMap<u64, f64> {
    let count_before = |upper: &u64| before.get(upper).copied().unwrap_or(0.0);
    let rows = after
        .iter()
        .map(|(upper, count)| (*upper, count - count_before(upper)));
    rows.collect()
}

/// What happened on the server between two samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ServerSecond {
    pub(super) tick_p50_ms: Option<f64>,
    pub(super) tick_p99_ms: Option<f64>,
    pub(super) ticks_per_s: Option<f64>,
    /// Share of one core.
    pub(super) cpu: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) inputs_late: f64,
    pub(super) files: Option<f64>,
    pub(super) threads: Option<f64>,
    /// Ticks by upper end of their bucket in nanoseconds, for adding up.
    pub(super) ticks: BTreeMap<u64, f64>,
    /// The parts of these ticks, by name.
    pub(super) parts: BTreeMap<String, PartTimes>,
}

impl ServerProbe {
    /// Reads from this address, for example `http://127.0.0.1:9090/metrics`.
    pub(super) fn new(url: String) -> Self {
        Self {
            http: http_client(&url).build().unwrap_or_default(),
            url,
            before: None,
        }
    }

    /// What the server occupies.
    ///
    /// # Errors
    ///
    /// It did not answer, or something else did.
    pub(super) async fn footprint(&self) -> Result<Footprint, MetricsError> {
        Ok(self.read().await?.footprint())
    }

    async fn read(&self) -> Result<Sample, MetricsError> {
        let unreachable = |source| MetricsError::Unreachable {
            url: self.url.clone(),
            source,
        };
        let asked = self.http.get(&self.url).timeout(PATIENCE).send().await;
        let answer = asked.and_then(reqwest::Response::error_for_status);
        let text = answer.map_err(unreachable)?.text().await;
        let sample = Sample::parse(&text.map_err(unreachable)?);
        if sample.tasks.is_none() {
            return Err(MetricsError::SomethingElse {
                url: self.url.clone(),
            });
        }
        Ok(sample)
    }

    /// What happened since the last call; none the first time, or when the server did not answer.
    pub(super) async fn sample(&mut self) -> Option<ServerSecond> {
        let sample = self.read().await.ok()?;
        let now = Instant::now();
        let before = self.before.replace((now, sample.clone()))?;
        Some(ServerSecond::between(&before, &(now, sample)))
    }
}

impl Sample {
    fn parse(text: &str) -> Self {
        let mut sample = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            sample.add(name, value);
        }
        sample
    }

    fn add(&mut self, name: &str, value: f64) {
        if name.starts_with("gs_tick_seconds_bucket") {
            if let Some(upper) = upper_end(name) {
                *self.ticks.entry(upper).or_default() += value;
            }
        } else if name.starts_with("gs_tick_seconds_count") {
            self.tick_count += value;
        } else if let Some(rest) = name.strip_prefix("gs_tick_part_seconds_") {
            self.add_part(rest, value);
        } else if name == "gs_inputs_late_total" {
            self.inputs_late = value;
        } else if name == "process_cpu_seconds_total" {
            self.cpu_s = Some(value);
        } else if name == "process_resident_memory_bytes" {
            self.memory_bytes = Some(value);
        } else if name == "process_open_fds" {
            self.files = Some(value);
        } else if name == "process_threads" {
            self.threads = Some(value);
        } else if name == "gs_tasks" {
            self.tasks = Some(value);
        } else if name == "gs_entities" {
            self.entities = Some(value);
        }
    }

    fn footprint(&self) -> Footprint {
        Footprint {
            rss_mib: self.memory_bytes.map(|bytes| bytes / MIB),
            files: self.files,
            tasks: self.tasks,
            entities: self.entities,
        }
    }

    fn add_part(&mut self, name: &str, value: f64) {
        let Some(part) = label(name, "part") else {
            return;
        };
        let times = self.parts.entry(part.to_owned()).or_default();
        if name.starts_with("bucket") {
            if let Some(upper) = upper_end(name) {
                *times.buckets.entry(upper).or_default() += value;
            }
        } else if name.starts_with("sum") {
            times.sum_s += value;
        } else if name.starts_with("count") {
            times.count += value;
        }
    }
}

/// A label's value; ours hold no quotes.
fn label<'a>(name: &'a str, wanted: &str) -> Option<&'a str> {
    let (_, rest) = name.split_once(&format!("{wanted}=\""))?;
    Some(rest.split_once('"')?.0)
}

/// The bucket's bound in nanoseconds; the greatest number for the last one, which has all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounds are positive, and the last one saturates"
)]
fn upper_end(name: &str) -> Option<u64> {
    let seconds: f64 = label(name, "le")?.parse().ok()?;
    // Infinity becomes the greatest number.
    Some((seconds * 1e9) as u64)
}

impl ServerSecond {
    fn between((then, before): &(Instant, Sample), (now, after): &(Instant, Sample)) -> Self {
        let seconds = now.duration_since(*then).as_secs_f64().max(1e-3);
        let ticks = difference(&after.ticks, &before.ticks);
        let parts = after.parts.iter().map(|(name, times)| {
            let before = before.parts.get(name);
            (name.clone(), times.since(before))
        });
        let count = after.tick_count - before.tick_count;
        let cpu = after.cpu_s.zip(before.cpu_s);
        Self {
            tick_p50_ms: ms_at(&ticks, 0.5),
            tick_p99_ms: ms_at(&ticks, 0.99),
            ticks_per_s: (count > 0.0).then_some(count / seconds),
            cpu: cpu.map(|(after, before)| (after - before) / seconds),
            memory_bytes: after.memory_bytes,
            inputs_late: after.inputs_late - before.inputs_late,
            files: after.files,
            threads: after.threads,
            ticks,
            parts: parts.collect(),
        }
    }
}

/// The time that this share of the ticks does not exceed, by straight lines within the buckets; the
/// last bound when it lies beyond.
pub(super) fn ms_at(ticks: &BTreeMap<u64, f64>, share: f64) -> Option<f64> {
    let all = ticks.values().copied().fold(0.0, f64::max);
    if all <= 0.0 {
        return None;
    }
    let wanted = all * share;
    let (mut below, mut low) = (0.0, 0.0);
    for (upper, count) in ticks {
        if *upper == u64::MAX {
            break;
        }
        let upper = *upper as f64;
        if *count >= wanted {
            let part = (wanted - below) / (count - below).max(f64::MIN_POSITIVE);
            return Some((low + (upper - low) * part) / 1e6);
        }
        (below, low) = (*count, upper);
    }
    Some(low / 1e6)
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
pub(super) fn tick_parts(by_name: &BTreeMap<String, PartTimes>) -> Vec<TickPartTimes> {
    let whole_s: f64 = by_name.values().map(|times| times.sum_s).sum();
    let measured = by_name.iter().filter(|(_, times)| times.count > 0.0);
    let mut parts: Vec<TickPartTimes> = measured
        .filter_map(|(name, times)| {
            Some(TickPartTimes {
                name: name.clone(),
                mean_us: times.sum_s / times.count * 1e6,
                p99_us: ms_at(&times.buckets, 0.99)? * 1e3,
                share: times.sum_s / whole_s.max(f64::MIN_POSITIVE),
            })
        })
        .collect();
    let position = |name: &str| PARTS_IN_ORDER.iter().position(|known| *known == name);
    parts.sort_by_key(|part| position(&part.name).unwrap_or(usize::MAX));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE gs_tick_seconds histogram
gs_tick_seconds_bucket{game=\"arena\",le=\"0.001\"} 10
gs_tick_seconds_bucket{game=\"arena\",le=\"0.002\"} 90
gs_tick_seconds_bucket{game=\"arena\",le=\"+Inf\"} 100
gs_tick_seconds_sum{game=\"arena\"} 0.2
gs_tick_seconds_count{game=\"arena\"} 100
gs_tick_part_seconds_bucket{part=\"look\",le=\"0.001\"} 98
gs_tick_part_seconds_bucket{part=\"look\",le=\"+Inf\"} 100
gs_tick_part_seconds_sum{part=\"look\"} 0.05
gs_tick_part_seconds_count{part=\"look\"} 100
process_cpu_seconds_total 1.5
process_resident_memory_bytes 1048576
process_open_fds 40
gs_tasks 12
gs_entities 300
";

    #[test]
    fn metrics_are_read_as_they_are_exposed() {
        let sample = Sample::parse(TEXT);
        let bounds: Vec<_> = sample.ticks.keys().copied().collect();
        assert_eq!(bounds, [1_000_000, 2_000_000, u64::MAX]);
        assert_eq!((sample.cpu_s, sample.memory_bytes), (Some(1.5), Some(MIB)));
        let footprint = Footprint {
            rss_mib: Some(1.0),
            files: Some(40.0),
            tasks: Some(12.0),
            entities: Some(300.0),
        };
        assert_eq!(sample.footprint(), footprint);
    }

    #[test]
    fn what_happened_between_two_samples_is_their_difference() {
        let now = Instant::now();
        let before = (now, Sample::default());
        let after = (now + Duration::from_secs(2), Sample::parse(TEXT));
        let second = ServerSecond::between(&before, &after);
        assert_eq!(second.ticks_per_s, Some(50.0));
        let p50 = second.tick_p50_ms.unwrap();
        assert!((1.0..2.0).contains(&p50), "{p50}");
        assert_eq!(second.tick_p99_ms, Some(2.0), "beyond the last bound");
        let look = &second.parts["look"];
        assert_eq!((look.sum_s, look.count), (0.05, 100.0));
    }

    #[test]
    fn the_parts_of_ticks_add_up_and_only_new_ones_count() {
        let sample = Sample::parse(TEXT);
        let look = &sample.parts["look"];
        assert_eq!(look.buckets.get(&1_000_000), Some(&98.0));
        let nothing_new = look.since(Some(look));
        assert_eq!((nothing_new.sum_s, nothing_new.count), (0.0, 0.0));
        let mut both = look.clone();
        both.add(look);
        assert_eq!((both.sum_s, both.buckets[&u64::MAX]), (0.1, 200.0));
    }

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
        let parts = tick_parts(&by_name.into());
        let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["receive", "look", "zeal"]);
        assert!((parts[0].mean_us - 2_000.0).abs() < 1e-6, "{parts:?}");
        assert!((parts[0].share - 0.5).abs() < 1e-9 && (parts[0].p99_us - 1.0).abs() < 1e-9);
    }
}
