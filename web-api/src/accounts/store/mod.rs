//! What the database keeps of accounts.
//!
//! An operation fails when the database cannot answer; nothing has changed then.

pub(crate) mod logins;
pub(crate) mod players;

#[cfg(test)]
mod contract_tests;

use crate::kit::db::Db;

/// The tables of players, devices, logins and refresh tokens.
#[derive(Debug, Clone)]
pub(crate) struct AccountsStore(pub(crate) Db);
