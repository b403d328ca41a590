//! Errors as clients see them: `application/problem+json`, made in one place.
//!
//! A handler returns an [`ApiError`]. It travels as an extension of an empty response to the
//! outermost layer, which alone knows the request's id, logs the cause and writes the body.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gameserver_contract::problem::{FieldError, Problem};
use gameserver_contract::session::SessionState;

use crate::kit::cache::RateDecision;
use crate::kit::error::Error;
use crate::kit::fault::Fault;
use crate::kit::http::code::Code;

/// Media type of every error body (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When to come back after a part of the service did not answer.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// When to come back after all places were taken.
const RETRY_BUSY: Duration = Duration::from_secs(10);
/// When to come back after an instance was lost or was full: a lease and a start later.
const RETRY_FLEET: Duration = Duration::from_secs(3);

/// When to come back after an instance had no time for one more: what the instance itself says when
/// it refuses.
const RETRY_OVERLOADED: Duration = Duration::from_secs(2);

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: Code,
    details: BTreeMap<String, String>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    rate: Option<RateDecision>,
    /// For the log only.
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What a handler returns.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error that says nothing but its code.
    pub(crate) fn new(code: Code) -> Self {
        Self {
            code,
            details: BTreeMap::new(),
            errors: Vec::new(),
            retry_after: None,
            rate: None,
            cause: None,
        }
    }

    /// Complains about fields of the request.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(Code::RequestInvalid)
        }
    }

    /// Too many requests.
    pub(crate) fn rate_limited(rate: RateDecision) -> Self {
        Self {
            rate: Some(rate),
            retry_after: Some(rate.reset),
            ..Self::new(Code::RateLimited)
        }
    }

    /// Adds a fact that helps to act on it.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    fn retry_after(self, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..self
        }
    }

    /// A part of the service does not do its work; says which one, and what is wrong with it.
    fn without(part: &str, fault: Fault) -> Self {
        Self::new(Code::ServerUnavailable)
            .retry_after(RETRY_SOON)
            .detail(part, fault.as_str())
    }

    fn in_state(code: Code, state: SessionState) -> Self {
        Self::new(code).detail("state", state.as_str())
    }

    fn limit(code: Code, max: u32) -> Self {
        Self::new(code).detail("max", max.to_string())
    }

    fn caused(self, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            cause: Some(Arc::new(cause)),
            ..self
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCredentials => Self::new(Code::AuthInvalidCredentials),
            Error::RefreshRefused => Self::new(Code::AuthInvalidRefreshToken),
            Error::RefreshReused => Self::new(Code::AuthRefreshTokenReused),
            Error::LoginGone | Error::LoginEnded => Self::new(Code::AuthInvalidToken),
            Error::Invalid(errors) => Self::invalid(errors),
            Error::PlayerNotFound => Self::new(Code::PlayerNotFound),
            Error::SessionNotFound => Self::new(Code::SessionNotFound),
            Error::VersionMismatch => Self::new(Code::PreconditionFailed),
            Error::CursorInvalid => Self::new(Code::CursorInvalid),
            Error::GameUnknown => Self::new(Code::GameUnknown),
            Error::ModeUnknown => Self::new(Code::GameModeUnknown),
            Error::NoCapacity => Self::new(Code::FleetNoCapacity).retry_after(RETRY_FLEET),
            Error::PlayerSessionLimit(max) => Self::limit(Code::SessionPlayerLimit, max),
            Error::AddressSessionLimit(max) => {
                Self::limit(Code::SessionAddressLimit, max).retry_after(RETRY_BUSY)
            }
            Error::InstanceLost => Self::new(Code::SessionInstanceLost).retry_after(RETRY_FLEET),
            Error::Overloaded => Self::new(Code::SessionOverloaded).retry_after(RETRY_OVERLOADED),
            Error::SessionFull => Self::new(Code::SessionFull),
            Error::NotJoinable(state) => Self::in_state(Code::SessionNotJoinable, state),
            Error::IllegalTransition(state) => {
                Self::in_state(Code::SessionIllegalTransition, state)
            }
            Error::NotHost => Self::new(Code::SessionNotHost),
            Error::JoinCodeInvalid => Self::new(Code::SessionJoinCodeInvalid),
            Error::SpectatorsNotAllowed => Self::new(Code::SessionSpectatorsNotAllowed),
            Error::ViewNotAllowed(view) => {
                Self::new(Code::SessionViewNotAllowed).detail("view", view.as_str())
            }
            Error::ReplayNotFound => Self::new(Code::ReplayNotFound),
            Error::ReplayNotReady(state) => Self::in_state(Code::ReplayNotReady, state),
            Error::ReplayDelayed(state, wait) => {
                Self::in_state(Code::ReplayNotReady, state).retry_after(wait)
            }
            Error::TooManyListeners => Self::new(Code::ServerBusy).retry_after(RETRY_BUSY),
            Error::Draining => Self::new(Code::ServerNotReady).retry_after(RETRY_SOON),
            Error::RateLimited(rate) => Self::rate_limited(rate),
            Error::IdempotencyKeyReused => Self::new(Code::IdempotencyKeyReused),
            Error::IdempotencyInProgress => {
                Self::new(Code::IdempotencyInProgress).retry_after(RETRY_SOON)
            }
            Error::InstanceUnavailable(_) => Self::new(Code::FleetUnavailable)
                .retry_after(RETRY_FLEET)
                .caused(error),
            Error::Store(ref cause) if cause.refuses_text() => Self::new(Code::RequestInvalid),
            Error::Store(ref cause) => match cause.fault() {
                Some(fault) => Self::without("database", fault).caused(error),
                None => Self::new(Code::ServerInternal).caused(error),
            },
            Error::Cache(ref cause) => Self::without("cache", cause.fault()).caused(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(after).into());
        }
        if let Some(rate) = &self.rate {
            write_rate(headers, rate);
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Tells a client where it stands with a rate limit.
pub(crate) fn write_rate(headers: &mut HeaderMap, rate: &RateDecision) {
    headers.insert("ratelimit-limit", rate.limit.into());
    headers.insert("ratelimit-remaining", rate.remaining.into());
    headers.insert("ratelimit-reset", whole_seconds(rate.reset).into());
}

/// Rounded up, so that whoever waits that long has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Writes the problem body of an error response; leaves every other response as it is.
pub(crate) fn render(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let error = response.extensions_mut().remove::<ApiError>();
    let error = error.unwrap_or_else(|| ApiError::new(code_of(status)));
    if let Some(cause) = &error.cause {
        let cause: &dyn StdError = &**cause;
        tracing::error!(
            request.id = request_id,
            error.code = error.code.as_str(),
            error = cause,
            "a request failed"
        );
    }
    *response.status_mut() = error.code.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = body(error, request_id);
    response
}

fn body(error: ApiError, request_id: &str) -> Body {
    let problem = Problem {
        code: error.code.as_str().to_owned(),
        status: error.code.status().as_u16(),
        title: error.code.title().to_owned(),
        details: error.details,
        request_id: request_id.to_owned(),
        errors: error.errors,
    };
    Body::from(serde_json::to_vec(&problem).expect("a problem is plain data"))
}

/// The code of an error that a library answered for us.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::RouteNotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::RouteMethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::RequestTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::RequestUnsupportedMediaType,
        status if status.is_client_error() => Code::RequestMalformed,
        _ => Code::ServerInternal,
    }
}
