//! Player services over REST: logins, profiles, sessions, results, and the registry of instances.
//!
//! It knows no Bevy and never touches a live match. Reading order: [`config`], `compose` (what is
//! made of what), the capabilities `accounts`, `sessions`, `matches` and `fleet`, and the `kit`
//! that they all stand on; then [`server`] (how the service starts and stops).

mod compose;
pub mod config;
mod grpc;
pub mod server;
pub mod telemetry;

mod accounts;
mod fleet;
mod kit;
mod matches;
mod sessions;

#[cfg(test)]
mod test_servers;
#[cfg(test)]
mod tests;

pub use compose::{codes, openapi_json};
pub use config::{
    ForwardedHeader, Keys, Limits, OpenSessionLimits, RateLimits, SecretKey, WebApiConfig,
};
pub use kit::cache::{Cache, CacheError, RateDecision};
pub use kit::db::{Db, DbError};
pub use kit::fault::Fault;
pub use kit::http::code::Code;
pub use kit::http::console::recording_page;
pub use server::{Deps, RenderMetrics, RunningWebApi, StartError, WebApi};
