//! Everything that can keep the service from doing what was asked. The public text stands in the
//! registry of codes of the HTTP face; the cause stays inside, for the log.

use std::time::Duration;

use gameserver_contract::problem::FieldError;
use gameserver_contract::session::SessionState;
use gameserver_contract::spectator::SpectatorView;

use crate::fleet::control::ControlError;
use crate::kit::cache::{CacheError, RateDecision};
use crate::kit::db::DbError;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Unknown device or wrong secret; nobody learns which.
    #[error("log in: the credentials are not valid")]
    InvalidCredentials,
    /// Unknown, expired or revoked.
    #[error("refresh the login: the token is not valid")]
    RefreshRefused,
    /// A token came back after its successor was made: the family is revoked.
    #[error("refresh the login: the token was used before")]
    RefreshReused,
    /// The access token is good, but its player is gone.
    #[error("find the player who is logged in")]
    LoginGone,
    /// The access token is good, but its login was ended.
    #[error("find the login, which was ended")]
    LoginEnded,
    /// Fields that are well-formed but not acceptable.
    #[error("accept the request's fields")]
    Invalid(Vec<FieldError>),
    /// No such player.
    #[error("find the player")]
    PlayerNotFound,
    /// No such session.
    #[error("find the session")]
    SessionNotFound,
    /// Somebody else changed the resource in between.
    #[error("change the version that was named")]
    VersionMismatch,
    /// Changed, of another list or of another filter.
    #[error("read the cursor")]
    CursorInvalid,
    /// No instance has hosted this game lately.
    #[error("find the game")]
    GameUnknown,
    /// The game has no such mode.
    #[error("find the game's mode")]
    ModeUnknown,
    /// The game is known, but no instance has room for it.
    #[error("find an instance with room")]
    NoCapacity,
    /// The player has as many open sessions as a player may.
    #[error("open a session beside {0} others of the player")]
    PlayerSessionLimit(u32),
    /// As many sessions as may be are open from the address.
    #[error("open a session beside {0} others from the address")]
    AddressSessionLimit(u32),
    /// The chosen instances did not do what they were asked.
    #[error("reach the instance")]
    InstanceUnavailable(#[source] ControlError),
    /// The session's instance is gone; the session is about to fail.
    #[error("find the session's instance")]
    InstanceLost,
    /// The session's instance has no time for one more.
    #[error("find time for one more on the session's instance")]
    Overloaded,
    /// All seats are taken or held.
    #[error("find a free seat")]
    SessionFull,
    /// The session is in a state that nobody may join.
    #[error("join a session that is {}", .0.as_str())]
    NotJoinable(SessionState),
    /// The session's state does not allow this.
    #[error("end a session that is {}", .0.as_str())]
    IllegalTransition(SessionState),
    /// Only the host may.
    #[error("act as the session's host")]
    NotHost,
    /// The session takes no spectators.
    #[error("watch a session that nobody may watch")]
    SpectatorsNotAllowed,
    /// The session grants its spectators no more than this view.
    #[error("watch more than the view {}", .0.as_str())]
    ViewNotAllowed(SpectatorView),
    /// The private session's code is missing or wrong.
    #[error("join without the right code")]
    JoinCodeInvalid,
    /// No log of the session's match is kept.
    #[error("find the replay")]
    ReplayNotFound,
    /// The match is not over.
    #[error("show the replay of a session that is {}", .0.as_str())]
    ReplayNotReady(SessionState),
    /// The session's spectators may not have seen all of the match yet.
    #[error("read the log of a match before its spectators have seen the end")]
    ReplayDelayed(SessionState, Duration),
    /// As many listen to events as may.
    #[error("listen to events beside so many others")]
    TooManyListeners,
    /// The process is about to stop.
    #[error("begin something long while the process is stopping")]
    Draining,
    /// Too many calls.
    #[error("stay below the rate limit")]
    RateLimited(RateDecision),
    /// The same key came with another request.
    #[error("use an idempotency key for another request")]
    IdempotencyKeyReused,
    /// The first request with this key is still being done.
    #[error("answer twice at the same time")]
    IdempotencyInProgress,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The cache did not answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A complaint about one field; `detail` is a fragment that fits "must …".
pub(crate) fn field(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError {
        pointer: pointer.into(),
        detail: detail.into(),
    }
}
