//! Congestion control for games: New Reno (RFC 9002, appendix B) with a floor.
//!
//! What a game sends is bounded by itself: a budget for each client, a few inputs a tick. On a
//! lossy radio link, a window that halves with every loss would starve it to a fraction of that
//! bound although the link has room. The floor lets that bounded rate through; above it, the
//! standard holds.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, NewReno, NewRenoConfig};
use quinn_proto::RttEstimator;

use crate::limits::CONGESTION_WINDOW_MIN;

/// Makes controllers with a floor.
#[derive(Debug, Default)]
pub(crate) struct Floored {
    standard: Arc<NewRenoConfig>,
}

impl ControllerFactory for Floored {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let standard = NewReno::new(Arc::clone(&self.standard), now, current_mtu);
        Box::new(WithFloor { standard })
    }
}

#[derive(Debug, Clone)]
struct WithFloor {
    standard: NewReno,
}

impl Controller for WithFloor {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.standard.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.standard.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        let newest = largest_packet_num_acked;
        self.standard
            .on_end_acks(now, in_flight, app_limited, newest);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.standard
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.standard.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.standard.window().max(CONGESTION_WINDOW_MIN)
    }

    fn metrics(&self) -> ControllerMetrics {
        self.standard.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.standard.initial_window().max(CONGESTION_WINDOW_MIN)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_do_not_starve_a_bounded_sender() {
        let now = Instant::now();
        let mut controller = Arc::new(Floored::default()).build(now, 1_200);
        for lost in 0..20 {
            let sent = now + std::time::Duration::from_millis(lost);
            controller.on_congestion_event(sent, sent, true, 1_200);
        }
        assert_eq!(controller.window(), CONGESTION_WINDOW_MIN);
    }
}
