//! Logs on stdout: JSON lines for machines, text for people.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::error::CliError;
use crate::settings::LogFormat;

/// What is logged when `RUST_LOG` does not say otherwise. lightyear logs every late packet of every
/// client as an error, and a warning is written for each page that breaks off; these things are
/// counted in metrics instead. Name one of the crates in `RUST_LOG` to hear it.
const DEFAULT_FILTER: &str = "info,lightyear_debug=off,lightyear_connection=off,\
    lightyear_inputs=off,lightyear_messages=off,lightyear_replication=off,lightyear_sync=off,\
    lightyear_transport=off,lightyear_prediction=off,lightyear_interpolation=off,\
    bevy_replicon=off,web_transport_quinn=error";

/// Begins to log. Call it once.
pub(crate) fn start(format: LogFormat) -> Result<(), CliError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = EnvFilter::try_new(filter_text(&wanted))
        .map_err(|error| CliError::Logging(Box::new(error)))?;
    let as_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stdout().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let started = if as_text {
        registry
            .with(tracing_subscriber::fmt::layer().with_target(false))
            .try_init()
    } else {
        registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true))
            .try_init()
    };
    started.map_err(|error| CliError::Logging(Box::new(error)))
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
    use super::*;

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
