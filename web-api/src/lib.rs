//! Player services over REST: logins, profiles, sessions, results, and the registry of instances.
//!
//! It knows no Bevy and never touches a live match. Reading order: [`config`], [`server`] (how the
//! service starts and stops), `http` and `grpc` (its two faces), `app` (what it does), `identity`,
//! `fleet`, and the two places where things are kept, [`store`] and [`cache`].

pub mod config;
pub mod server;

mod app;
mod fault;
mod fleet;
mod grpc;
mod http;
mod identity;
pub mod telemetry;

pub mod cache;
pub mod store;

#[cfg(test)]
mod test_servers;
#[cfg(test)]
mod tests;

pub use config::{
    ForwardedHeader, Keys, Limits, OpenSessionLimits, RateLimits, SecretKey, WebApiConfig,
};
pub use fault::Fault;
pub use http::code::Code;
pub use http::console::recording_page;
pub use http::openapi::openapi_json;
pub use server::{Deps, RenderMetrics, RunningWebApi, StartError, WebApi};
