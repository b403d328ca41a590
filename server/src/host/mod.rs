//! Hosts matches: a pool of worker threads, each stepping many matches at their own tick rates.
//!
//! Reading order: `match_host`, `match_directory`, `headroom`, `worker`, `running_match`,
//! `spectator_hub`.

mod admission;
mod commands;
mod headroom;
mod hosted_match;
mod load_probe;
mod match_directory;
mod match_host;
mod recent_ticks;
mod running_match;
mod spec;
mod spectator_hub;
mod spectator_inbox;
mod stagger;
#[cfg(test)]
mod tests;
mod used_tickets;
mod worker;

pub use admission::{Admission, Entry};
pub use gameserver_control::Admits;
pub use headroom::{BudgetMax, MEASURE_INTERVAL, RETRY_AFTER};
pub use hosted_match::{MatchInfo, MatchSummary};
pub use match_directory::MatchDirectory;
pub use match_host::MatchHost;
pub use spec::{EMPTY_MATCH_LIFETIME, FinishedMatch, HostConfig, HostError, MatchSpec};
pub use spectator_inbox::{DELAY_MAX, SpectatorFeed};
