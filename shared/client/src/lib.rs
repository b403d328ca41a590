//! Bevy plugin for game clients: connect with what a join answered, and the game's own player is
//! predicted, everybody else interpolated.
//!
//! ```no_run
//! # use gameserver_client::{ClientPlugin, GameConnection};
//! # use gameserver_shared::prelude::*;
//! # fn example<MyGame: Game>(join_answer: &gameserver_contract::session::JoinResponse) {
//! let runtime = tokio::runtime::Runtime::new().expect("a runtime");
//! let mut app = bevy_app::App::new();
//! app.add_plugins(ClientPlugin::<MyGame>::new(runtime.handle().clone()));
//! app.world_mut().resource_mut::<GameConnection>().join(join_answer);
//! # }
//! ```
//!
//! It knows no REST: where the join answer comes from is the game's business.
//!
//! Reading order: [`plugin`], [`connection`], [`reconnect`], [`probe`], [`headless`].

pub mod connection;
pub mod headless;
mod pacing;
pub mod plugin;
pub mod probe;
pub mod reconnect;

pub use connection::{ConnectionState, GameConnection};
pub use plugin::ClientPlugin;
pub use probe::PredictionTally;
pub use reconnect::ReconnectPolicy;
