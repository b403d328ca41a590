//! Bots that do what a player's machine does: log in and join by REST, connect over real sockets,
//! predict, roll back, interpolate, and play with the game's own policy.
//!
//! This library names no game.
//!
//! Reading order: [`lobby`], [`bot`], [`bot_pool`], [`report`], [`bots`]; and [`load`], which
//! knows the protocol only.

pub mod bot;
pub mod bot_pool;
pub mod bots;
mod client_counts;
pub mod load;
pub mod lobby;
pub mod machine;
pub mod report;
mod session_report;

pub use bots::{BotsConfig, BotsError, Target};
pub use report::LoadReport;
