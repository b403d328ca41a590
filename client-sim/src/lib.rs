//! Bots that do what a player's machine does: log in and join by REST, connect over real sockets,
//! predict, roll back, interpolate, and play with the game's own policy.
//!
//! This library names no game.
//!
//! Reading order: [`lobby`], [`bot`], [`crew`], [`bots`], [`report`]; and [`load`], which
//! knows the protocol only.

pub mod bot;
pub mod bots;
pub mod crew;
pub mod load;
pub mod lobby;
pub mod report;

pub use bots::{BotsConfig, BotsError, Target};
pub use report::Report;
