//! Why nothing is shown of a match, and what clients are told.

use std::time::Duration;

use gameserver_contract::session::SessionState;

use crate::kit::http::code::refusals;
use crate::{accounts, fleet, sessions};

refusals! {
    /// Why nothing is shown of a match.
    pub(crate) enum Error {
        /// The match is not over, or the session's spectators may not have seen all of it yet.
        ReplayNotReady(state: SessionState, wait: Option<Duration>) = "replay.not_ready", CONFLICT,
            "The replay of the session is not shown yet.",
            problem => {
                let problem = problem.detail("state", state.as_str());
                match wait {
                    Some(wait) => problem.retry_after(wait),
                    None => problem,
                }
            };
        /// No log of the session's match is kept.
        ReplayNotFound = "replay.not_found", NOT_FOUND,
            "There is no replay of the session (any more).";
    }
    from {
        Account(accounts::error::Error), Fleet(fleet::error::Error),
        Session(sessions::error::Error)
    }
}
