//! What every capability needs, and nothing of any of them.

pub mod cache;
pub(crate) mod cursor;
pub mod db;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod idempotency;
pub(crate) mod rate;
pub(crate) mod readiness;
pub(crate) mod text;
