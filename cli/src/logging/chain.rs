//! Adds the causes of errors to JSON lines: the library writes the outermost error only.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Causes of one error that are written; a longer chain is cut off.
const CAUSES_MAX: usize = 16;

/// A format of JSON lines, with the causes of `error` in `error.sources`, as the text format has
/// them.
#[derive(Debug)]
pub(super) struct WithCauses<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for WithCauses<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut causes = Causes::default();
        event.record(&mut causes);
        if causes.0.is_empty() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let object = line.trim_end().strip_suffix('}').unwrap_or(&line);
        writer.write_str(object)?;
        for (field, texts) in &causes.0 {
            let (name, texts) = (encoded(&format!("{field}.sources"))?, encoded(texts)?);
            write!(writer, ",{name}:{texts}")?;
        }
        writer.write_str("}\n")
    }
}

fn encoded<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, fmt::Error> {
    serde_json::to_string(value).map_err(|_| fmt::Error)
}

/// The causes of an event's errors, by field.
#[derive(Debug, Default)]
struct Causes(Vec<(&'static str, Vec<String>)>);

impl Visit for Causes {
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let mut texts = Vec::new();
        let mut cause = error.source();
        while let Some(source) = cause.filter(|_| texts.len() < CAUSES_MAX) {
            texts.push(source.to_string());
            cause = source.source();
        }
        if !texts.is_empty() {
            self.0.push((field.name(), texts));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::LogLines;
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reach the database")]
    struct Unreachable(#[source] Refused);

    #[derive(Debug, thiserror::Error)]
    #[error("connect to \"db\"")]
    struct Refused(#[source] std::io::Error);

    #[test]
    fn a_json_line_has_every_cause_of_its_error() {
        let lines = LogLines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .json()
            .flatten_event(true)
            .map_event_format(WithCauses);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let error = Unreachable(Refused(std::io::ErrorKind::ConnectionRefused.into()));
            tracing::error!(error = &error as &dyn Error, "a request failed");
            tracing::info!("ready");
        });
        let lines = lines.take();
        let [failed, ready] =
            [0, 1].map(|line| -> serde_json::Value { serde_json::from_str(&lines[line]).unwrap() });
        assert_eq!(failed["error"], "reach the database");
        let causes = ["connect to \"db\"", "connection refused"];
        assert_eq!(failed["error.sources"], serde_json::json!(causes));
        assert_eq!(failed["message"], "a request failed");
        assert_eq!(ready["message"], "ready");
    }
}
