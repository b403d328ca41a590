//! Watches what a server still occupies after the last bot has left.

use std::time::Duration;

use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::server_metrics::ServerProbe;
use crate::report::Footprint;

const SECOND: Duration = Duration::from_secs(1);

/// Samples every second for so long and reports each sample. The last one counts.
pub(super) async fn watch(
    probe: &ServerProbe,
    patience: Duration,
    stop: &CancellationToken,
    mut report: impl FnMut(Duration, &Footprint),
) -> Option<Footprint> {
    let began = Instant::now();
    let mut seconds = interval(SECOND);
    let mut settled = None;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = seconds.tick() => {}
        }
        settled = probe.footprint().await.ok().or(settled);
        if let Some(footprint) = &settled {
            report(began.elapsed(), footprint);
        }
        if began.elapsed() >= patience {
            break;
        }
    }
    settled
}
