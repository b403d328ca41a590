//! What the database keeps of sessions.
//!
//! An operation fails when the database cannot answer; nothing has changed then.

pub(crate) mod openings;
pub(crate) mod records;
pub(crate) mod reports;
pub(crate) mod seats;
pub(crate) mod sweep;

#[cfg(test)]
mod contract_tests;

use crate::kit::db::Db;

/// The tables of sessions, their seats and the matches to start.
#[derive(Debug, Clone)]
pub(crate) struct SessionsStore(pub(crate) Db);
