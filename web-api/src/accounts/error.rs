//! Why accounts refuse, and what clients are told.

use gameserver_contract::ids::PlayerId;

use crate::kit::http::code::refusals;
use crate::kit::http::extract::ResourceId;
use crate::kit::http::problem::ApiError;

refusals! {
    /// Why a login or a profile is refused.
    pub(crate) enum Error {
        /// Unknown device or wrong secret; nobody learns which.
        InvalidCredentials = "auth.invalid_credentials", UNAUTHORIZED,
            "The credentials are not valid.";
        /// Unknown, expired or revoked.
        RefreshRefused = "auth.invalid_refresh_token", UNAUTHORIZED,
            "The refresh token is not valid; log in again.";
        /// A token came back after its successor was made: the family is revoked.
        RefreshReused = "auth.refresh_token_reused", UNAUTHORIZED,
            "The refresh token was used before; its login has been closed.";
        /// No such player.
        PlayerNotFound = "player.not_found", NOT_FOUND,
            "There is no such player.";
    }
    from {}
}

impl ResourceId for PlayerId {
    fn not_found() -> ApiError {
        Error::PlayerNotFound.into()
    }
}
