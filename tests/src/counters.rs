//! The instance's counters, as its metrics page shows them. They belong to the process, so a spec
//! compares before and after, and runs alone meanwhile ([`crate::stage::Stage::alone`]).

use std::sync::OnceLock;

use gameserver_server::telemetry;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let handle = PrometheusBuilder::new()
            .install_recorder()
            .expect("nobody else records in this process");
        telemetry::describe();
        handle
    })
}

/// One series, and what it showed when the spec began to watch it.
#[derive(Debug)]
pub struct Counter {
    series: String,
    before: u64,
}

impl Counter {
    /// Watches a series without labels.
    #[must_use]
    pub fn watch(name: &str) -> Self {
        Self::of(name.to_owned())
    }

    /// Watches a series with one label.
    #[must_use]
    pub fn watch_labelled(name: &str, label: &str, value: &str) -> Self {
        Self::of(format!("{name}{{{label}=\"{value}\"}}"))
    }

    fn of(series: String) -> Self {
        let before = value_of(&series);
        Self { series, before }
    }

    /// What was counted since.
    #[must_use]
    pub fn increase(&self) -> u64 {
        value_of(&self.series) - self.before
    }
}

/// A counter that has never counted is not shown: it is 0.
fn value_of(series: &str) -> u64 {
    let page = recorder().render();
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("counters are whole"))
}
