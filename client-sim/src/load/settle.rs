//! Whether a server is as it was before, when everybody has gone: what it occupied before the first
//! bot, and what it still occupies a while after the last one.

use std::time::Duration;

use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::report::Footprint;
use super::server::ServerProbe;

const SECOND: Duration = Duration::from_secs(1);

/// Looks every second for so long, and tells of each look. The last one counts.
pub(super) async fn watch(
    probe: &ServerProbe,
    patience: Duration,
    stop: &CancellationToken,
    mut tell: impl FnMut(Duration, &Footprint),
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
            tell(began.elapsed(), footprint);
        }
        if began.elapsed() >= patience {
            break;
        }
    }
    settled
}
