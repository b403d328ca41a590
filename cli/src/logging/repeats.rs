//! Writes the first of many equal warnings and errors, then how many there were: a cache that is
//! gone fails every request, and the log must still be readable.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How often repeated lines are summed up, and how long a line must not have come to be written
/// again.
const PERIOD: Duration = Duration::from_secs(10);
/// Kinds that are distinguished for each place that logs; further ones count as one kind.
const KINDS_MAX: usize = 16;
/// Bytes of a message or an error that are kept for the sum.
const TEXT_BYTES_MAX: usize = 512;
/// A field that differs each time without making another kind.
const REQUEST_ID: &str = "request.id";
/// Sums are no events of their own that could be summed up.
const TARGET: &str = "gameserver::repeated";

/// Decides for each warning and error whether it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<HashMap<SiteId, Site>>>);

/// The address of a place's description, which lives as long as the program.
type SiteId = usize;

/// A place that logs.
#[derive(Debug, Default)]
struct Site {
    kinds: Vec<Kind>,
    further: Option<Kind>,
}

#[derive(Debug)]
struct Kind {
    hash: u64,
    level: Level,
    message: String,
    error: String,
    repeated: u64,
    came: bool,
}

/// How often a line was not written.
#[derive(Debug, PartialEq, Eq)]
struct Sum {
    level: Level,
    message: String,
    error: String,
    repeated: u64,
}

impl Repeats {
    /// Logs the sums at the end of each period, for ever.
    pub(super) async fn sum_up_forever(self) {
        let mut period = tokio::time::interval(PERIOD);
        loop {
            period.tick().await;
            self.sum_up();
        }
    }

    /// Ends the period.
    pub(super) fn sum_up(&self) {
        self.close_period().iter().for_each(Sum::log);
    }

    fn close_period(&self) -> Vec<Sum> {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = Vec::new();
        sites.retain(|_, site| {
            for kind in site.kinds.iter_mut().chain(&mut site.further) {
                sums.extend(kind.sum());
            }
            site.kinds.retain_mut(Kind::still_comes);
            site.further.take_if(|kind| !kind.still_comes());
            !site.kinds.is_empty() || site.further.is_some()
        });
        sums
    }

    /// True for the first of its kind.
    fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        let mut seen = Seen::default();
        event.record(&mut seen);
        let hash = seen.hasher.finish();
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let site = sites
            .entry(std::ptr::from_ref(metadata).addr())
            .or_default();
        if let Some(kind) = site.kinds.iter_mut().find(|kind| kind.hash == hash) {
            return kind.count();
        }
        let has_room = site.kinds.len() < KINDS_MAX;
        if let Some(further) = site.further.as_mut().filter(|_| !has_room) {
            return further.count();
        }
        let kind = Kind {
            hash,
            level: *metadata.level(),
            message: seen.message,
            error: seen.error,
            repeated: 0,
            came: true,
        };
        if has_room {
            site.kinds.push(kind);
        } else {
            site.further = Some(kind);
        }
        true
    }
}

impl Kind {
    /// Counts one that is not written.
    fn count(&mut self) -> bool {
        self.repeated += 1;
        self.came = true;
        false
    }

    fn sum(&mut self) -> Option<Sum> {
        let repeated = std::mem::take(&mut self.repeated);
        (repeated > 0).then(|| Sum {
            level: self.level,
            message: self.message.clone(),
            error: self.error.clone(),
            repeated,
        })
    }

    /// False when it did not come in the whole period, and is to be forgotten.
    fn still_comes(&mut self) -> bool {
        std::mem::take(&mut self.came)
    }
}

impl Sum {
    fn log(&self) {
        let Self {
            message,
            error,
            repeated,
            ..
        } = self;
        let seconds = PERIOD.as_secs();
        if self.level == Level::ERROR {
            tracing::error!(target: TARGET, repeated, seconds, error, "again: {message}");
        } else {
            tracing::warn!(target: TARGET, repeated, seconds, error, "again: {message}");
        }
    }
}

/// The fields that distinguish an event from others of the same place.
#[derive(Default)]
struct Seen {
    hasher: DefaultHasher,
    message: String,
    error: String,
}

impl Visit for Seen {
    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause.filter(|_| text.len() < TEXT_BYTES_MAX) {
            // Writing into a text cannot fail.
            let _ = write!(text, ": {source}");
            cause = source.source();
        }
        self.record_debug(field, &format_args!("{text}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == REQUEST_ID {
            return;
        }
        let text = format!("{value:?}");
        (field.index(), &text).hash(&mut self.hasher);
        let kept = match field.name() {
            "message" => &mut self.message,
            "error" => &mut self.error,
            _ => return,
        };
        *kept = text;
        kept.truncate(kept.floor_char_boundary(TEXT_BYTES_MAX));
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Levels are in the order of how much they write: an error is the least.
        *metadata.level() > Level::WARN || metadata.target() == TARGET || self.admits(event)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::LogLines;
    use super::*;

    /// The lines that are written while this runs.
    fn written(repeats: &Repeats, events: impl FnOnce()) -> Vec<String> {
        let lines = LogLines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry()
            .with(repeats.clone())
            .with(layer);
        tracing::subscriber::with_default(subscriber, events);
        lines.take()
    }

    fn fail(request: u32, why: &str) {
        let error = Error::other(why.to_owned());
        let error = &error as &dyn std::error::Error;
        tracing::error!(request.id = request, error, "a request failed");
    }

    #[test]
    fn the_first_of_many_equal_errors_is_written_and_the_others_are_counted() {
        let repeats = Repeats::default();
        let lines = written(&repeats, || {
            (0..4_073).for_each(|request| fail(request, "reach Redis"));
            fail(4_073, "reach the database");
        });
        assert_eq!(lines.len(), 2, "one of each kind: {lines:?}");
        let sums = repeats.close_period();
        assert_eq!(sums.len(), 1, "{sums:?}");
        assert_eq!((sums[0].repeated, &*sums[0].error), (4_072, "reach Redis"));
        let lines = written(&repeats, || fail(4_074, "reach Redis"));
        assert!(lines.is_empty(), "still the same failure: {lines:?}");
        assert_eq!(repeats.close_period()[0].repeated, 1);
        assert_eq!(repeats.close_period(), []);
        let lines = written(&repeats, || fail(4_075, "reach Redis"));
        assert_eq!(lines.len(), 1, "it came back after a period without it");
    }

    #[test]
    fn only_so_many_kinds_are_told_apart() {
        let repeats = Repeats::default();
        let lines = written(&repeats, || {
            (0..1_000).for_each(|request| fail(request, &format!("failure {request}")));
        });
        assert_eq!(lines.len(), KINDS_MAX + 1);
        assert_eq!(repeats.close_period()[0].repeated, 1_000 - 17);
        assert!(
            repeats
                .0
                .lock()
                .unwrap()
                .values()
                .all(|site| site.kinds.len() <= KINDS_MAX)
        );
    }

    #[test]
    fn what_is_no_warning_is_always_written() {
        let repeats = Repeats::default();
        let lines = written(&repeats, || {
            for _ in 0..9 {
                tracing::info!("match over");
            }
        });
        assert_eq!(lines.len(), 9);
    }

    #[test]
    fn a_sum_is_written_with_its_number() {
        let repeats = Repeats::default();
        let lines = written(&repeats, || {
            (0..3).for_each(|request| fail(request, "reach Redis"));
            repeats.sum_up();
        });
        let sum = lines.last().unwrap();
        assert!(sum.contains("again: a request failed repeated=2"), "{sum}");
        assert!(sum.contains("reach Redis"), "{sum}");
    }
}
