//! Why the fleet refuses, and what clients are told.

use std::time::Duration;

use crate::fleet::control::ControlError;
use crate::kit::http::code::refusals;

/// When to come back after an instance was lost or was full: a lease and a start later.
pub(crate) const RETRY: Duration = Duration::from_secs(3);

refusals! {
    /// Why no instance does what is asked.
    pub(crate) enum Error {
        /// No instance has hosted this game lately.
        GameUnknown = "game.unknown", UNPROCESSABLE_ENTITY,
            "No game of this name is hosted here.";
        /// The game has no such mode.
        ModeUnknown = "game.mode_unknown", UNPROCESSABLE_ENTITY,
            "The game has no such mode.";
        /// The game is known, but no instance has room for it.
        NoCapacity = "fleet.no_capacity", SERVICE_UNAVAILABLE,
            "No game server has room for this game now.",
            problem => problem.retry_after(RETRY);
        /// The chosen instances did not do what they were asked.
        Unavailable(cause: ControlError) = "fleet.unavailable", SERVICE_UNAVAILABLE,
            "The chosen game server did not answer.",
            problem => problem.retry_after(RETRY).caused(cause);
    }
    from {}
}
