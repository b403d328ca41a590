//! Shows in the metrics what ended before anybody was admitted: the listener counts it and does not
//! know metrics.

use std::collections::HashMap;
use std::sync::Arc;

use gameserver_transport::close::RefusalCode;
use gameserver_transport::events::{Events, Incident};

use crate::telemetry;

/// A listener's counters, and how much of them was shown.
#[derive(Debug)]
pub(super) struct ListenerMetrics {
    events: Arc<Events>,
    shown: HashMap<&'static str, u64>,
}

impl ListenerMetrics {
    pub(super) fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            shown: HashMap::new(),
        }
    }

    /// Shows what was counted since the last time.
    pub(super) fn publish(&mut self) {
        let events = self.events.clone();
        telemetry::unsent(events.unsent_bytes());
        for code in RefusalCode::ALL {
            let new = self.new_since(code.as_str(), events.refused(*code));
            telemetry::arrivals_ended(code.as_str(), new);
        }
        for incident in Incident::ALL {
            let new = self.new_since(incident.as_str(), events.incidents(incident));
            telemetry::arrivals_ended(incident.as_str(), new);
        }
    }

    fn new_since(&mut self, reason: &'static str, counted: u64) -> u64 {
        let shown = self.shown.insert(reason, counted).unwrap_or(0);
        counted - shown
    }
}
