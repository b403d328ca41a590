//! The closed registry of error codes. Clients branch on these; a code is never renamed and never
//! given another meaning.

use axum::http::StatusCode;

macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident $number:literal, $title:literal;)*) => {
        /// An error code with its status and its sentence for people.
        ///
        /// | code | status | meaning |
        /// |---|---|---|
        $(#[doc = concat!("| `", $code, "` | ", $number, " | ", $title, " |")])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as clients see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that it comes with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    AuthRequired = "auth.required", UNAUTHORIZED "401",
        "This call needs an access token.";
    AuthInvalidToken = "auth.invalid_token", UNAUTHORIZED "401",
        "The access token is not valid.";
    AuthTokenExpired = "auth.token_expired", UNAUTHORIZED "401",
        "The access token has expired; refresh it.";
    AuthInvalidCredentials = "auth.invalid_credentials", UNAUTHORIZED "401",
        "The credentials are not valid.";
    AuthInvalidRefreshToken = "auth.invalid_refresh_token", UNAUTHORIZED "401",
        "The refresh token is not valid; log in again.";
    AuthRefreshTokenReused = "auth.refresh_token_reused", UNAUTHORIZED "401",
        "The refresh token was used before; its login has been closed.";
    PlayerNotFound = "player.not_found", NOT_FOUND "404",
        "There is no such player.";
    SessionNotFound = "session.not_found", NOT_FOUND "404",
        "There is no such session.";
    SessionFull = "session.full", CONFLICT "409",
        "All seats of the session are taken.";
    SessionNotJoinable = "session.not_joinable", CONFLICT "409",
        "The session is in a state that nobody may join.";
    SessionIllegalTransition = "session.illegal_transition", CONFLICT "409",
        "The session's state does not allow this.";
    SessionPlayerLimit = "session.player_limit", CONFLICT "409",
        "You have as many open sessions as a player may; end one of them first.";
    SessionAddressLimit = "session.address_limit", TOO_MANY_REQUESTS "429",
        "As many sessions as may be are open from this address; try again later.";
    SessionNotHost = "session.not_host", FORBIDDEN "403",
        "Only the session's host may do this.";
    SessionJoinCodeInvalid = "session.join_code_invalid", FORBIDDEN "403",
        "The session is private, and the join code is missing or wrong.";
    SessionSpectatorsNotAllowed = "session.spectators_not_allowed", FORBIDDEN "403",
        "Nobody may watch the session.";
    SessionViewNotAllowed = "session.view_not_allowed", FORBIDDEN "403",
        "The session does not show that much to spectators.";
    SessionInstanceLost = "session.instance_lost", SERVICE_UNAVAILABLE "503",
        "The session's game server is gone.";
    SessionOverloaded = "session.overloaded", SERVICE_UNAVAILABLE "503",
        "The session's game server has no processor time left for one more; try again later.";
    ReplayNotReady = "replay.not_ready", CONFLICT "409",
        "The replay of the session is not shown yet.";
    ReplayNotFound = "replay.not_found", NOT_FOUND "404",
        "There is no replay of the session (any more).";
    GameUnknown = "game.unknown", UNPROCESSABLE_ENTITY "422",
        "No game of this name is hosted here.";
    GameModeUnknown = "game.mode_unknown", UNPROCESSABLE_ENTITY "422",
        "The game has no such mode.";
    FleetNoCapacity = "fleet.no_capacity", SERVICE_UNAVAILABLE "503",
        "No game server has room for this game now.";
    FleetUnavailable = "fleet.unavailable", SERVICE_UNAVAILABLE "503",
        "The chosen game server did not answer.";
    CursorInvalid = "cursor.invalid", UNPROCESSABLE_ENTITY "422",
        "The cursor was not made for this list and this filter.";
    IdempotencyKeyReused = "idempotency.key_reused", UNPROCESSABLE_ENTITY "422",
        "The idempotency key was used for another request.";
    IdempotencyInProgress = "idempotency.in_progress", CONFLICT "409",
        "A request with the same idempotency key is still being done.";
    PreconditionRequired = "precondition.required", PRECONDITION_REQUIRED "428",
        "Changing this needs an If-Match header with the version tag that was read.";
    PreconditionFailed = "precondition.failed", PRECONDITION_FAILED "412",
        "The resource has changed since it was read.";
    RateLimited = "rate.limited", TOO_MANY_REQUESTS "429",
        "Too many requests; try again later.";
    RequestMalformed = "request.malformed", BAD_REQUEST "400",
        "The request cannot be read.";
    RequestInvalid = "request.invalid", UNPROCESSABLE_ENTITY "422",
        "Some fields of the request are not acceptable.";
    RequestTooLarge = "request.too_large", PAYLOAD_TOO_LARGE "413",
        "The request's body is too large.";
    RequestUnsupportedMediaType = "request.unsupported_media_type", UNSUPPORTED_MEDIA_TYPE "415",
        "The body must be application/json.";
    RequestTimeout = "request.timeout", REQUEST_TIMEOUT "408",
        "The request's body did not arrive in time.";
    RequestRangeNotSatisfiable = "request.range_not_satisfiable", RANGE_NOT_SATISFIABLE "416",
        "The range lies beyond the end.";
    RouteNotFound = "route.not_found", NOT_FOUND "404",
        "There is nothing at this address.";
    RouteMethodNotAllowed = "route.method_not_allowed", METHOD_NOT_ALLOWED "405",
        "This address does not know the method.";
    ServerInternal = "server.internal", INTERNAL_SERVER_ERROR "500",
        "The server failed; the request id leads to the cause in its log.";
    ServerUnavailable = "server.unavailable", SERVICE_UNAVAILABLE "503",
        "A part that the server needs does not answer; try again.";
    ServerNotReady = "server.not_ready", SERVICE_UNAVAILABLE "503",
        "The server takes no traffic now.";
    ServerBusy = "server.busy", SERVICE_UNAVAILABLE "503",
        "As many streams of events are open as may be; try again later.";
    ServerTimeout = "server.timeout", SERVICE_UNAVAILABLE "503",
        "The server did not answer in time.";
}

impl Code {
    /// The code of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }
}
