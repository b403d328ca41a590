//! What the database keeps of the fleet.
//!
//! An operation fails when the database cannot answer; nothing has changed then.

pub(crate) mod games;
pub(crate) mod leases;

use crate::kit::db::Db;

/// The tables of hosted games and of leases that the cache did not take.
#[derive(Debug, Clone)]
pub(crate) struct FleetStore(pub(crate) Db);
