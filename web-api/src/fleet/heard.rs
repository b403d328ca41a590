//! What this replica itself heard of instances within a lease. It knows no cache.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use gameserver_contract::ids::InstanceId;

use crate::config::{INSTANCE_LEASE, INSTANCES_MAX};
use crate::fleet::InstanceRecord;

/// A heartbeat and a half: an instance that goes on calling this replica was heard of since.
const LATELY: TimeDelta = TimeDelta::milliseconds(1_500);

/// The instances that called this replica; at most [`INSTANCES_MAX`], one more is not kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Table>>);

type Table = BTreeMap<InstanceId, (InstanceRecord, DateTime<Utc>)>;

impl Heard {
    /// Notes what an instance has just reported. A late report renews the time and nothing else.
    pub(crate) fn note(&self, instance: &InstanceRecord, now: DateTime<Utc>) {
        let mut table = self.lock();
        if let Some((known, heard_at)) = table.get_mut(&instance.id)
            && is_late(instance, known)
        {
            *heard_at = now;
            return;
        }
        if table.len() >= INSTANCES_MAX {
            table.retain(|_, (_, heard_at)| is_fresh(*heard_at, now));
        }
        if table.len() < INSTANCES_MAX || table.contains_key(&instance.id) {
            table.insert(instance.id, (instance.clone(), now));
        }
    }

    /// The instance, when it was heard of within a lease.
    pub(crate) fn instance(&self, id: InstanceId, now: DateTime<Utc>) -> Option<InstanceRecord> {
        let table = self.lock();
        let (instance, heard_at) = table.get(&id)?;
        is_fresh(*heard_at, now).then(|| instance.clone())
    }

    /// The instance, when it was heard of within [`LATELY`].
    pub(crate) fn lately(&self, id: InstanceId, now: DateTime<Utc>) -> Option<InstanceRecord> {
        let table = self.lock();
        let (instance, heard_at) = table.get(&id)?;
        (now - heard_at < LATELY).then(|| instance.clone())
    }

    /// All of them.
    pub(crate) fn instances(&self, now: DateTime<Utc>) -> BTreeMap<InstanceId, InstanceRecord> {
        let table = self.lock();
        let fresh = table
            .iter()
            .filter(|(_, (_, heard_at))| is_fresh(*heard_at, now));
        fresh
            .map(|(id, (instance, _))| (*id, instance.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registration has no number, and always counts.
fn is_late(instance: &InstanceRecord, known: &InstanceRecord) -> bool {
    let sequence = instance.load.sequence;
    known.epoch == instance.epoch && sequence != 0 && sequence < known.load.sequence
}

fn is_fresh(heard_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - heard_at < TimeDelta::from_std(INSTANCE_LEASE).unwrap_or_default()
}
