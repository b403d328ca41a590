//! Logs on stdout: JSON lines for machines, text for people.

mod chain;
mod repeats;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::error::CliError;
use crate::output::{Lines, STDERR, STDOUT, Stream};
use crate::settings::LogFormat;
use chain::WithCauses;
use repeats::Repeats;

/// The filter unless `RUST_LOG` sets one. lightyear logs every late packet of every client as an
/// error, and a warning is written for each page that breaks off; these things are counted in
/// metrics instead. Name one of the crates in `RUST_LOG` to see it.
const DEFAULT_FILTER: &str = "info,lightyear_debug=off,lightyear_connection=off,\
    lightyear_inputs=off,lightyear_messages=off,lightyear_replication=off,lightyear_sync=off,\
    lightyear_transport=off,lightyear_prediction=off,lightyear_interpolation=off,\
    bevy_replicon=off,web_transport_quinn=error";

/// Lines that are kept while something else has the terminal; the oldest go.
const KEPT_LINES_MAX: usize = 200;

/// Lines that were logged and not shown yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogLines(Arc<Mutex<VecDeque<String>>>);

impl LogLines {
    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are kept, the oldest first.
    pub(crate) fn newest(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    /// The same, and keeps them no longer.
    pub(crate) fn take(&self) -> Vec<String> {
        self.lock().drain(..).collect()
    }
}

/// An event is written at once, with its line's end.
impl io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.lock();
        let text = String::from_utf8_lossy(bytes);
        lines.extend(text.lines().map(ToOwned::to_owned));
        let too_many = lines.len().saturating_sub(KEPT_LINES_MAX);
        lines.drain(..too_many);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to log into lines that a view shows, as text. Call it once.
pub(crate) fn start_kept() -> Result<(LogLines, Logging), CliError> {
    let lines = LogLines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    Ok((lines, start_with(layer)?))
}

fn filter() -> Result<EnvFilter, CliError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    EnvFilter::try_new(filter_text(&wanted)).map_err(|error| CliError::Logging(Box::new(error)))
}

/// Begins to log on stdout. Call it once.
pub(crate) fn start(format: LogFormat) -> Result<Logging, CliError> {
    start_on(&STDOUT, format)
}

/// Begins to log on stderr, for a command whose results are on stdout. Call it once.
pub(crate) fn start_beside_results() -> Result<Logging, CliError> {
    start_on(&STDERR, LogFormat::Text)
}

fn start_on(stream: &'static Stream, format: LogFormat) -> Result<Logging, CliError> {
    let as_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => stream.is_terminal(),
    };
    let layer = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_writer(move || Lines(stream));
    if as_text {
        start_with(layer.with_target(false).with_ansi(stream.shows_colors()))
    } else {
        let layer = layer.json().flatten_event(true);
        start_with(layer.map_event_format(WithCauses))
    }
}

/// Puts the filters of its lines before a layer that writes.
fn start_with<L>(layer: L) -> Result<Logging, CliError>
where
    L: Layer<Layered<Repeats, Layered<EnvFilter, Registry>>> + Send + Sync,
{
    let repeats = Repeats::default();
    let registry = tracing_subscriber::registry()
        .with(filter()?)
        .with(repeats.clone());
    let started = registry.with(layer).try_init();
    started.map_err(|error| CliError::Logging(Box::new(error)))?;
    tokio::spawn(repeats.clone().sum_up_forever());
    Ok(Logging(repeats))
}

/// The running logs. Dropped at the end, it writes the remaining sums.
#[derive(Debug)]
#[must_use = "what is counted at the end is logged when this is dropped"]
pub(crate) struct Logging(Repeats);

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.sum_up();
    }
}

/// Later directives win over earlier ones for the same target.
fn filter_text(wanted: &str) -> String {
    if wanted.is_empty() {
        DEFAULT_FILTER.to_owned()
    } else {
        format!("{DEFAULT_FILTER},{wanted}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_the_newest_lines_are_kept() {
        let mut lines = LogLines::default();
        for number in 0..KEPT_LINES_MAX + 2 {
            lines
                .write_all(format!("line {number}\n").as_bytes())
                .unwrap();
        }
        let kept = lines.take();
        assert_eq!(kept.len(), KEPT_LINES_MAX);
        assert_eq!(kept[0], "line 2");
        assert!(lines.newest().is_empty());
    }

    #[test]
    fn every_filter_that_people_write_is_understood() {
        for wanted in [
            "",
            "debug",
            "warn,gameserver_server=debug",
            "lightyear_sync=trace",
        ] {
            assert!(EnvFilter::try_new(filter_text(wanted)).is_ok(), "{wanted}");
        }
    }
}
