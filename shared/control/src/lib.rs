//! Control plane between web-api and instances: the two gRPC services, and what both ends need
//! to use them (shared secret, result signature).
//!
//! It knows no Bevy, no database and no lobby rule; it only carries.

mod generated;
pub mod result_signature;
pub mod secret;

pub use generated::*;

/// Bytes of a log in one `ReadReplay` answer: 256 KiB.
pub const REPLAY_BYTES_MAX: u32 = 256 * 1024;
