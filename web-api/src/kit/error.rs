//! Errors that are no capability's: of the request, the database or the cache. The public text
//! stands with the code; the cause stays inside, for the log.

use gameserver_contract::problem::FieldError;

use crate::kit::cache::{CacheError, RateDecision};
use crate::kit::db::DbError;

/// Why a request was not done, whatever it was for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KitError {
    /// The access token is good, but its player is gone or its login was ended.
    #[error("find the login, which was ended")]
    LoginEnded,
    /// Fields that are well-formed but not acceptable.
    #[error("accept the request's fields")]
    Invalid(Vec<FieldError>),
    /// Somebody else changed the resource in between.
    #[error("change the version that was named")]
    VersionMismatch,
    /// Changed, of another list or of another filter.
    #[error("read the cursor")]
    CursorInvalid,
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
    Db(#[from] DbError),
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
