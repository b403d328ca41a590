//! Proofs of identity: how a login, an access token and a refresh token are made and checked.
//!
//! It knows no HTTP and no database; what must be remembered goes through `app` to the store.

pub(crate) mod access_token;
pub(crate) mod guest;
pub(crate) mod refresh_token;
