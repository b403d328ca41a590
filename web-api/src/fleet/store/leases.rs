//! Leases of instances, kept here while the cache does not take them.
//!
//! The cache is where leases live; see `fleet`. A lease that it refused stands here instead, so
//! that no replica takes an instance for lost because of the cache.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{InstanceEpoch, InstanceId};

use crate::kit::db::sql::Sql;
use crate::kit::db::{Store, StoreError};

impl Store {
    /// Believes in this run of an instance until then.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer.
    pub async fn keep_lease(
        &self,
        instance: InstanceId,
        epoch: InstanceEpoch,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let sql = Sql::new(
            "INSERT INTO instance_leases (instance_id, instance_epoch, until_ms) \
             VALUES ($1, $2, $3) ON CONFLICT (instance_id) DO UPDATE \
             SET instance_epoch = excluded.instance_epoch, until_ms = excluded.until_ms",
        );
        let sql = sql.bind(instance).bind(epoch).bind(until);
        self.db.execute(sql).await.map(drop)
    }

    /// The run of an instance whose lease is kept here and lives at `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer.
    pub async fn kept_lease(
        &self,
        instance: InstanceId,
        now: DateTime<Utc>,
    ) -> Result<Option<InstanceEpoch>, StoreError> {
        let sql = Sql::new(
            "SELECT instance_epoch FROM instance_leases WHERE instance_id = $1 AND until_ms > $2",
        );
        let row: Option<(i64,)> = self.db.optional(sql.bind(instance).bind(now)).await?;
        Ok(row.map(|(epoch,)| InstanceEpoch(epoch.cast_unsigned())))
    }
}
