//! Gates: limits that a run has to keep, from the command line: `tick_p99_ms=16.6`.

use std::str::FromStr;

use crate::report::{GateResult, LoadReport};

/// A limit on one figure.
#[derive(Debug, Clone)]
pub struct Gate {
    figure: Figure,
    limit: f64,
}

/// What can be limited, and in which direction.
#[derive(Debug, Clone, Copy)]
struct Figure {
    name: &'static str,
    bound: Bound,
    of: fn(&LoadReport) -> Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtMost,
    AtLeast,
}

/// Every figure that a gate can name.
const FIGURES: &[Figure] = &[
    at_most("tick_p50_ms", |report| report.figures.tick_p50_ms),
    at_most("tick_p99_ms", |report| report.figures.tick_p99_ms),
    at_least("ticks_per_s", |report| report.figures.ticks_per_s),
    at_most("input_to_state_p50_ms", |report| {
        report.figures.input_to_state_p50_ms
    }),
    at_most("input_to_state_p95_ms", |report| {
        report.figures.input_to_state_p95_ms
    }),
    at_most("input_to_state_p99_ms", |report| {
        report.figures.input_to_state_p99_ms
    }),
    at_least("snapshots_per_s", |report| report.figures.snapshots_per_s),
    at_least("state_rate_median", |report| {
        report.figures.state_rate_median
    }),
    at_least("state_rate_min", |report| report.figures.state_rate_min),
    at_most("disconnects", |report| {
        Some(report.figures.disconnects as f64)
    }),
    at_most("refused", |report| Some(report.figures.refused as f64)),
    at_most("refused_ms_p99", |report| report.figures.refused_ms_p99),
    at_most("refused_without_retry", |report| {
        Some(report.figures.refused_without_retry as f64)
    }),
    at_least("connected", |report| Some(report.figures.connected as f64)),
    at_most("bytes_down_per_s_p95", |report| {
        report.figures.bytes_down_per_s_p95
    }),
    at_most("bytes_up_per_s_p95", |report| {
        report.figures.bytes_up_per_s_p95
    }),
    at_most("server_cpu_cores", |report| report.figures.server_cpu_cores),
    at_most("server_rss_mib_max", |report| {
        report.figures.server_rss_mib_max
    }),
    at_most("rss_mb", |report| {
        let memory = report.series.iter().filter_map(|row| row.server_rss_bytes);
        memory.reduce(f64::max).map(|bytes| bytes / 1e6)
    }),
    at_most("rss_growth_last_30s_mib", |report| {
        report.figures.rss_growth_last_30s_mib
    }),
    at_most("rss_growth_mib", |report| report.figures.rss_growth_mib),
    at_most("files_left", |report| report.figures.files_left),
    at_most("tasks_left", |report| report.figures.tasks_left),
    at_most("entities_left", |report| report.figures.entities_left),
    at_most("wrong_states", |report| {
        report.figures.clients.as_ref()?.wrong_states()
    }),
    at_most("mispredicted_share", |report| {
        report.figures.clients.as_ref()?.mispredicted_share()
    }),
    at_most("kernel_drops", |report| {
        report.totals.kernel_drops.map(|drops| drops as f64)
    }),
];

const fn at_most(name: &'static str, of: fn(&LoadReport) -> Option<f64>) -> Figure {
    let bound = Bound::AtMost;
    Figure { name, bound, of }
}

const fn at_least(name: &'static str, of: fn(&LoadReport) -> Option<f64>) -> Figure {
    let bound = Bound::AtLeast;
    Figure { name, bound, of }
}

/// A gate that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no gate; write NAME=NUMBER with one of {}", names())]
pub struct GateError {
    text: String,
}

fn names() -> String {
    let names: Vec<_> = FIGURES.iter().map(|figure| figure.name).collect();
    names.join(", ")
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let parse = || {
            let (name, limit) = text.split_once('=')?;
            let figure = *FIGURES.iter().find(|figure| figure.name == name)?;
            let limit = limit.parse().ok()?;
            Some(Self { figure, limit })
        };
        parse().ok_or_else(|| GateError {
            text: text.to_owned(),
        })
    }
}

impl Gate {
    pub(super) fn check(&self, report: &LoadReport) -> GateResult {
        let value = (self.figure.of)(report);
        let holds = |value: f64| match self.figure.bound {
            Bound::AtMost => value <= self.limit,
            Bound::AtLeast => value >= self.limit,
        };
        GateResult {
            name: self.figure.name.to_owned(),
            value,
            limit: self.limit,
            passed: value.is_some_and(holds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_a_known_name_and_a_number() {
        let gate: Gate = "tick_p99_ms=16.6".parse().unwrap();
        assert_eq!((gate.figure.name, gate.limit), ("tick_p99_ms", 16.6));
        for text in ["tick_p99_ms", "tick_p98_ms=1", "tick_p99_ms=fast"] {
            let error = text.parse::<Gate>().unwrap_err().to_string();
            assert!(error.contains("ticks_per_s"), "{error}");
        }
    }
}
