//! Player services over REST: logins, profiles, sessions, results, and the registry of instances.
//!
//! It knows no Bevy and never touches a live match.

pub mod cache;
pub mod store;

#[cfg(test)]
mod test_servers;
