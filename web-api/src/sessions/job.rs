//! What happens without anybody asking: sessions of lost instances fail, and matches whose start
//! was left over are started.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{InstanceEpoch, InstanceId};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::{INSTANCE_LEASE, INSTANCE_LOST_GRACE};
use crate::sessions::Sessions;
use crate::sessions::error::Error;

const REAP_INTERVAL: Duration = Duration::from_secs(1);
const START_INTERVAL: Duration = Duration::from_secs(1);

/// Longest time between two looks at the leases. After a longer one, of a process that was stopped
/// or a clock that was set, every lease has ended at once, and that says nothing of the instances.
const REAP_PAUSE_MAX: Duration = INSTANCE_LEASE.saturating_add(INSTANCE_LOST_GRACE);

/// The runs that were found without a lease, and since when.
#[derive(Debug, Default)]
pub(crate) struct LostInstances {
    missing: HashMap<(InstanceId, InstanceEpoch), DateTime<Utc>>,
    looked_at: Option<DateTime<Utc>>,
}

impl LostInstances {
    /// Forgets what was found before a pause.
    fn look(&mut self, now: DateTime<Utc>) {
        let pause = |looked_at: DateTime<Utc>| (now - looked_at).abs();
        if self
            .looked_at
            .is_some_and(|at| pause(at) > time_delta(REAP_PAUSE_MAX))
        {
            self.missing.clear();
        }
        self.looked_at = Some(now);
    }
}

/// Runs until the token is cancelled.
pub(crate) async fn run(sessions: Arc<Sessions>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        // Instances that do not answer must not hold up the search for those that are lost.
        () = start_matches(&sessions) => {}
        () = reap_on_time(&sessions) => {}
    }
}

async fn start_matches(sessions: &Arc<Sessions>) {
    let mut start = interval(START_INTERVAL);
    loop {
        start.tick().await;
        let worker = Arc::clone(sessions);
        let work = async move { worker.deliver_starts().await };
        let delivered = sessions.kit.tasks.run_to_end(work).await;
        match delivered {
            Ok(0) => {}
            Ok(matches) => {
                tracing::info!(matches, "matches whose start was left over were seen to");
            }
            Err(error) => log_failure(&error, "failed to start matches whose start was left over"),
        }
    }
}

async fn reap_on_time(sessions: &Arc<Sessions>) {
    let mut lost = LostInstances::default();
    let mut reap = interval(REAP_INTERVAL);
    loop {
        reap.tick().await;
        lost = reap_in(sessions, lost).await;
    }
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn reap_in(sessions: &Arc<Sessions>, mut lost: LostInstances) -> LostInstances {
    let worker = Arc::clone(sessions);
    let work = async move {
        if let Err(error) = worker.reap(&mut lost).await {
            log_failure(&error, "failed to look for lost instances");
        }
        lost
    };
    sessions.kit.tasks.run_to_end(work).await
}

fn log_failure(error: &Error, message: &'static str) {
    tracing::error!(error = error as &dyn std::error::Error, "{message}");
}

impl Sessions {
    /// Fails the sessions of every run whose lease has been gone for the grace. Returns how many
    /// sessions failed. A cache that takes no leases says nothing of the instances, so the grace
    /// begins anew when it takes them again.
    pub(crate) async fn reap(&self, lost: &mut LostInstances) -> Result<u64, Error> {
        let now = self.kit.now();
        lost.look(now);
        if let Err(error) = self.kit.cache.check_write().await {
            lost.missing.clear();
            return Err(error.into());
        }
        let mut missing = HashMap::new();
        let mut failed = 0;
        for (instance, epoch) in self.store.instances_with_live_sessions().await? {
            let alive = self
                .fleet
                .instance(instance)
                .await?
                .map(|record| record.epoch);
            if alive == Some(epoch) {
                continue;
            }
            let since = *lost.missing.get(&(instance, epoch)).unwrap_or(&now);
            let is_over = now - since >= time_delta(INSTANCE_LOST_GRACE);
            if is_over && self.fleet.kept_lease(instance).await? != Some(epoch) {
                let lost = self.store.fail_sessions_of(instance, alive, now).await?;
                self.announce(&lost).await;
                failed += lost.len() as u64;
                tracing::warn!(instance.id = %instance, "an instance was lost with its sessions");
            } else {
                missing.insert((instance, epoch), since);
            }
        }
        lost.missing = missing;
        metrics::counter!("gs_sessions_lost_total").increment(failed);
        Ok(failed)
    }
}

fn time_delta(duration: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(duration).unwrap_or_default()
}
