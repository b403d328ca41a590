//! Error codes. Clients branch on these; a code is never renamed and never given another meaning.
//!
//! Codes of a capability stand in its error enum, see [`refusals`]; the rest stand here.

use axum::http::StatusCode;

/// An error code with its status and its sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    name: &'static str,
    status: StatusCode,
    title: &'static str,
}

impl Code {
    pub(crate) const fn new(name: &'static str, status: StatusCode, title: &'static str) -> Self {
        Self {
            name,
            status,
            title,
        }
    }

    /// The code as clients see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// The HTTP status that it comes with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.status
    }

    /// One sentence for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.title
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        impl Code {
            $(pub(crate) const $name: Self = Self::new($code, StatusCode::$status, $title);)*

            /// Every code that is no capability's.
            pub(crate) const KIT: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    AUTH_REQUIRED = "auth.required", UNAUTHORIZED,
        "This call needs an access token.";
    AUTH_INVALID_TOKEN = "auth.invalid_token", UNAUTHORIZED,
        "The access token is not valid.";
    AUTH_TOKEN_EXPIRED = "auth.token_expired", UNAUTHORIZED,
        "The access token has expired; refresh it.";
    CURSOR_INVALID = "cursor.invalid", UNPROCESSABLE_ENTITY,
        "The cursor was not made for this list and this filter.";
    IDEMPOTENCY_KEY_REUSED = "idempotency.key_reused", UNPROCESSABLE_ENTITY,
        "The idempotency key was used for another request.";
    IDEMPOTENCY_IN_PROGRESS = "idempotency.in_progress", CONFLICT,
        "A request with the same idempotency key is still being done.";
    PRECONDITION_REQUIRED = "precondition.required", PRECONDITION_REQUIRED,
        "Changing this needs an If-Match header with the version tag that was read.";
    PRECONDITION_FAILED = "precondition.failed", PRECONDITION_FAILED,
        "The resource has changed since it was read.";
    RATE_LIMITED = "rate.limited", TOO_MANY_REQUESTS,
        "Too many requests; try again later.";
    REQUEST_MALFORMED = "request.malformed", BAD_REQUEST,
        "The request cannot be read.";
    REQUEST_INVALID = "request.invalid", UNPROCESSABLE_ENTITY,
        "Some fields of the request are not acceptable.";
    REQUEST_TOO_LARGE = "request.too_large", PAYLOAD_TOO_LARGE,
        "The request's body is too large.";
    REQUEST_UNSUPPORTED_MEDIA_TYPE = "request.unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The body must be application/json.";
    REQUEST_TIMEOUT = "request.timeout", REQUEST_TIMEOUT,
        "The request's body did not arrive in time.";
    REQUEST_RANGE_NOT_SATISFIABLE = "request.range_not_satisfiable", RANGE_NOT_SATISFIABLE,
        "The range lies beyond the end.";
    ROUTE_NOT_FOUND = "route.not_found", NOT_FOUND,
        "There is nothing at this address.";
    ROUTE_METHOD_NOT_ALLOWED = "route.method_not_allowed", METHOD_NOT_ALLOWED,
        "This address does not know the method.";
    SERVER_INTERNAL = "server.internal", INTERNAL_SERVER_ERROR,
        "The server failed; the request id leads to the cause in its log.";
    SERVER_UNAVAILABLE = "server.unavailable", SERVICE_UNAVAILABLE,
        "A part that the server needs does not answer; try again.";
    SERVER_NOT_READY = "server.not_ready", SERVICE_UNAVAILABLE,
        "The server takes no traffic now.";
    SERVER_BUSY = "server.busy", SERVICE_UNAVAILABLE,
        "As many streams of events are open as may be; try again later.";
    SERVER_TIMEOUT = "server.timeout", SERVICE_UNAVAILABLE,
        "The server did not answer in time.";
}

/// Defines the error enum of a capability. Each variant has its code, HTTP status and public text
/// in one place; `problem => …` adds what helps a client to act on it. Errors of the kit, and those
/// of the capabilities named after `from`, pass through as they are.
macro_rules! refusals {
    (
        $(#[$meta:meta])*
        $vis:vis enum $Error:ident {$(
            $(#[$doc:meta])*
            $Name:ident $(($($field:ident: $type:ty),+))? =
                $code:literal, $status:ident, $title:literal $(, $problem:ident => $detailed:expr)?;
        )*}
        from {$($From:ident($from:ty)),*}
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis enum $Error {
            $($(#[$doc])* $Name $(($($type),+))?,)*
            $(/// An error of another capability.
            $From($from),)*
            /// The request, the database or the cache is at fault.
            Kit($crate::kit::error::KitError),
        }

        impl $Error {
            /// Every code of this capability.
            $vis const CODES: &'static [$crate::kit::http::code::Code] = &[$(
                $crate::kit::http::code::Code::new($code, axum::http::StatusCode::$status, $title),
            )*];
        }

        impl std::fmt::Display for $Error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$Name { .. } => f.write_str($title),)*
                    $(Self::$From(error) => std::fmt::Display::fmt(error, f),)*
                    Self::Kit(error) => std::fmt::Display::fmt(error, f),
                }
            }
        }

        impl std::error::Error for $Error {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $(Self::$Name { .. })|* => None,
                    $(Self::$From(error) => std::error::Error::source(error),)*
                    Self::Kit(error) => std::error::Error::source(error),
                }
            }
        }

        impl From<$Error> for $crate::kit::http::problem::ApiError {
            fn from(error: $Error) -> Self {
                match error {
                    $($Error::$Name $(($($field),+))? => {
                        let problem = Self::new($crate::kit::http::code::Code::new(
                            $code, axum::http::StatusCode::$status, $title,
                        ));
                        $(let $problem = problem; let problem = $detailed;)?
                        problem
                    })*
                    $($Error::$From(error) => error.into(),)*
                    $Error::Kit(error) => error.into(),
                }
            }
        }

        $(impl From<$from> for $Error {
            fn from(error: $from) -> Self {
                Self::$From(error)
            }
        })*

        impl From<$crate::kit::error::KitError> for $Error {
            fn from(error: $crate::kit::error::KitError) -> Self {
                Self::Kit(error)
            }
        }

        impl From<$crate::kit::db::DbError> for $Error {
            fn from(error: $crate::kit::db::DbError) -> Self {
                Self::Kit(error.into())
            }
        }

        impl From<$crate::kit::cache::CacheError> for $Error {
            fn from(error: $crate::kit::cache::CacheError) -> Self {
                Self::Kit(error.into())
            }
        }
    };
}
pub(crate) use refusals;
