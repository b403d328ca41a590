//! Tests of accounts through the real router.

mod auth;
mod me;
