//! Matches: results, histories, totals and replays.

pub(crate) mod replay_api;
pub(crate) mod replays;
pub(crate) mod results;
pub(crate) mod store;
