//! Leases of instances, kept here while the cache does not take them.
//!
//! The cache is where leases live; see `fleet`. A lease that it refused stands here instead, so
//! that no replica takes an instance for lost because of the cache.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{InstanceEpoch, InstanceId};

use crate::fleet::store::FleetStore;
use crate::kit::db::DbError;
use crate::kit::db::sql::Sql;

impl FleetStore {
    /// Believes in this run of an instance until then.
    pub(crate) async fn keep_lease(
        &self,
        instance: InstanceId,
        epoch: InstanceEpoch,
        until: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let sql = Sql::new(
            "INSERT INTO instance_leases (instance_id, instance_epoch, until_ms) \
             VALUES ($1, $2, $3) ON CONFLICT (instance_id) DO UPDATE \
             SET instance_epoch = excluded.instance_epoch, until_ms = excluded.until_ms",
        );
        let sql = sql.bind(instance).bind(epoch).bind(until);
        self.0.execute(sql).await.map(drop)
    }

    /// The run of an instance whose lease is kept here and lives at `now`.
    pub(crate) async fn kept_lease(
        &self,
        instance: InstanceId,
        now: DateTime<Utc>,
    ) -> Result<Option<InstanceEpoch>, DbError> {
        let sql = Sql::new(
            "SELECT instance_epoch FROM instance_leases WHERE instance_id = $1 AND until_ms > $2",
        );
        let row: Option<(i64,)> = self.0.optional(sql.bind(instance).bind(now)).await?;
        Ok(row.map(|(epoch,)| InstanceEpoch(epoch.cast_unsigned())))
    }

    /// Deletes leases that have ended.
    pub(crate) async fn sweep(&self, now: DateTime<Utc>) -> Result<(), DbError> {
        let expired = "DELETE FROM instance_leases WHERE until_ms <= $1";
        self.0.sweep(expired, now).await.map(drop)
    }
}
