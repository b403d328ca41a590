//! Whether the service can do its work: whether the parts that it depends on take writes.
//!
//! It does not know who asks, or how the answer is written.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::kit::Kit;
use crate::kit::cache::CacheError;
use crate::kit::fault::Fault;

/// How long a part may take to show that it takes writes.
const CHECK_DEADLINE: Duration = Duration::from_secs(1);

/// How old the verdict may be. Anybody may ask, and each look is a write in both parts.
const VERDICT_REMEMBERED: Duration = Duration::from_millis(250);

/// Whether the parts take writes.
#[derive(Debug)]
pub(crate) struct Readiness {
    kit: Kit,
    newest: Mutex<Option<(Instant, Parts)>>,
}

/// What is wrong with each part; `None` when nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) database: Option<Fault>,
    pub(crate) cache: Option<Fault>,
}

impl Readiness {
    /// Watches over the parts of this kit.
    pub(crate) fn new(kit: Kit) -> Self {
        Self {
            kit,
            newest: Mutex::default(),
        }
    }

    /// Writes to both parts, at the same time.
    pub(crate) async fn check(&self) -> Parts {
        // Held while the parts are asked, so that a crowd asks them once.
        let mut newest = self.newest.lock().await;
        if let Some((at, parts)) = *newest
            && at.elapsed() < VERDICT_REMEMBERED
        {
            return parts;
        }
        let database = fault_of(self.kit.db.check_write(self.kit.now()), |error| {
            error.fault().unwrap_or(Fault::Failing)
        });
        let cache = fault_of(self.kit.cache.check_write(), CacheError::fault);
        let (database, cache) = tokio::join!(database, cache);
        let parts = Parts { database, cache };
        *newest = Some((Instant::now(), parts));
        parts
    }
}

async fn fault_of<E>(
    check: impl Future<Output = Result<(), E>>,
    fault: impl FnOnce(&E) -> Fault,
) -> Option<Fault> {
    match tokio::time::timeout(CHECK_DEADLINE, check).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(fault(&error)),
        Err(_) => Some(Fault::Slow),
    }
}
