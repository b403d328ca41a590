//! What the database keeps of the fleet.

pub(crate) mod games;
pub(crate) mod leases;
