//! Control plane between web-api and instances: the two gRPC services, and what both ends need
//! to use them (shared secret, result signature).
//!
//! It knows no Bevy, no database and no lobby rule; it only carries.

mod generated;
pub mod result_signature;
pub mod secret;

use gameserver_contract::session::Role;
pub use generated::*;

/// Bytes of a log in one `ReadReplay` answer: 256 KiB.
pub const REPLAY_BYTES_MAX: u32 = 256 * 1024;

impl Admits {
    /// Whether somebody new is admitted in this role.
    #[must_use]
    pub fn allows(self, role: Role) -> bool {
        match self {
            Self::Everybody => true,
            Self::Players => role == Role::Player,
            Self::Nobody => false,
        }
    }
}
