//! Why the lobby refuses, and what clients are told.

use std::time::Duration;

use gameserver_contract::ids::SessionId;
use gameserver_contract::session::SessionState;
use gameserver_contract::spectator::SpectatorView;

use crate::fleet;
use crate::kit::http::code::refusals;
use crate::kit::http::extract::ResourceId;
use crate::kit::http::problem::{ApiError, RETRY_BUSY};

/// When to come back after an instance had no time for one more: what the instance itself says when
/// it refuses.
const RETRY_OVERLOADED: Duration = Duration::from_secs(2);

refusals! {
    /// Why the lobby refuses.
    pub(crate) enum Error {
        /// No such session, or none that this player may see.
        NotFound = "session.not_found", NOT_FOUND,
            "There is no such session.";
        /// All seats are taken or held.
        Full = "session.full", CONFLICT,
            "All seats of the session are taken.";
        /// The session is in a state that nobody may join.
        NotJoinable(state: SessionState) = "session.not_joinable", CONFLICT,
            "The session is in a state that nobody may join.",
            problem => problem.detail("state", state.as_str());
        /// The session's state does not allow this.
        IllegalTransition(state: SessionState) = "session.illegal_transition", CONFLICT,
            "The session's state does not allow this.",
            problem => problem.detail("state", state.as_str());
        /// The player has as many open sessions as a player may.
        PlayerLimit(max: u32) = "session.player_limit", CONFLICT,
            "You have as many open sessions as a player may; end one of them first.",
            problem => problem.detail("max", max.to_string());
        /// As many sessions as may be are open from the address.
        AddressLimit(max: u32) = "session.address_limit", TOO_MANY_REQUESTS,
            "As many sessions as may be are open from this address; try again later.",
            problem => problem.detail("max", max.to_string()).retry_after(RETRY_BUSY);
        /// Only the host may.
        NotHost = "session.not_host", FORBIDDEN,
            "Only the session's host may do this.";
        /// The private session's code is missing or wrong.
        JoinCodeInvalid = "session.join_code_invalid", FORBIDDEN,
            "The session is private, and the join code is missing or wrong.";
        /// The session takes no spectators.
        SpectatorsNotAllowed = "session.spectators_not_allowed", FORBIDDEN,
            "Nobody may watch the session.";
        /// The session grants its spectators no more than this view.
        ViewNotAllowed(view: SpectatorView) = "session.view_not_allowed", FORBIDDEN,
            "The session does not show that much to spectators.",
            problem => problem.detail("view", view.as_str());
        /// The session's instance is gone; the session is about to fail.
        InstanceLost = "session.instance_lost", SERVICE_UNAVAILABLE,
            "The session's game server is gone.",
            problem => problem.retry_after(fleet::error::RETRY);
        /// The session's instance has no time for one more.
        Overloaded = "session.overloaded", SERVICE_UNAVAILABLE,
            "The session's game server has no processor time left for one more; try again later.",
            problem => problem.retry_after(RETRY_OVERLOADED);
    }
    from { Fleet(fleet::error::Error) }
}

impl ResourceId for SessionId {
    fn not_found() -> ApiError {
        Error::NotFound.into()
    }
}
