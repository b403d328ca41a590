//! Hosts matches of any game: a gateway that lets players in, worker threads that step one Bevy
//! App a match, and the instance's side of the control plane.
//!
//! This library names no game. A studio's own binary is [`Instance::start`] with
//! `HostedGames::default().with::<MyGame>()?`.
//!
//! Reading order: [`instance`], [`config`], [`games`], [`gateway`], [`host`], [`simulation`],
//! [`match_log`], [`replay`], [`control`], [`priority`], [`telemetry`].

mod certificate;
pub mod config;
pub mod control;
pub mod games;
pub mod gateway;
pub mod host;
pub mod instance;
pub mod match_log;
mod offers;
pub mod priority;
mod public_address;
pub mod replay;
pub mod simulation;
pub mod telemetry;
mod validity;

pub use config::InstanceConfig;
pub use games::{GameError, HostedGames};
pub use instance::{Instance, StartError};
