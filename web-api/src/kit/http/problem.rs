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

use crate::kit::cache::RateDecision;
use crate::kit::error::KitError;
use crate::kit::fault::Fault;
use crate::kit::http::code::Code;

/// Media type of every error body (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When to come back after a part of the service did not answer.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// When to come back after all places were taken.
pub(crate) const RETRY_BUSY: Duration = Duration::from_secs(10);

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: Code,
    details: BTreeMap<String, String>,
    errors: Box<[FieldError]>,
    retry_after: Option<Duration>,
    rate: Option<Box<RateDecision>>,
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
            errors: Box::default(),
            retry_after: None,
            rate: None,
            cause: None,
        }
    }

    /// Complains about fields of the request.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors: errors.into(),
            ..Self::new(Code::REQUEST_INVALID)
        }
    }

    /// Too many requests.
    pub(crate) fn rate_limited(rate: RateDecision) -> Self {
        Self {
            retry_after: Some(rate.reset),
            rate: Some(Box::new(rate)),
            ..Self::new(Code::RATE_LIMITED)
        }
    }

    /// Adds a fact that helps to act on it.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Says when to come back.
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..self
        }
    }

    /// A part of the service does not do its work; says which one, and what is wrong with it.
    fn without(part: &str, fault: Fault) -> Self {
        Self::new(Code::SERVER_UNAVAILABLE)
            .retry_after(RETRY_SOON)
            .detail(part, fault.as_str())
    }

    /// Adds what the log shows, and nobody else.
    pub(crate) fn caused(self, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            cause: Some(Arc::new(cause)),
            ..self
        }
    }
}

impl From<KitError> for ApiError {
    fn from(error: KitError) -> Self {
        match error {
            KitError::LoginEnded => Self::new(Code::AUTH_INVALID_TOKEN),
            KitError::Invalid(errors) => Self::invalid(errors),
            KitError::VersionMismatch => Self::new(Code::PRECONDITION_FAILED),
            KitError::CursorInvalid => Self::new(Code::CURSOR_INVALID),
            KitError::TooManyListeners => Self::new(Code::SERVER_BUSY).retry_after(RETRY_BUSY),
            KitError::Draining => Self::new(Code::SERVER_NOT_READY).retry_after(RETRY_SOON),
            KitError::RateLimited(rate) => Self::rate_limited(rate),
            KitError::IdempotencyKeyReused => Self::new(Code::IDEMPOTENCY_KEY_REUSED),
            KitError::IdempotencyInProgress => {
                Self::new(Code::IDEMPOTENCY_IN_PROGRESS).retry_after(RETRY_SOON)
            }
            KitError::Db(cause) if cause.refuses_text() => Self::new(Code::REQUEST_INVALID),
            KitError::Db(cause) => match cause.fault() {
                Some(fault) => Self::without("database", fault).caused(cause),
                None => Self::new(Code::SERVER_INTERNAL).caused(cause),
            },
            KitError::Cache(cause) => Self::without("cache", cause.fault()).caused(cause),
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
        errors: error.errors.into(),
    };
    Body::from(serde_json::to_vec(&problem).expect("a problem is plain data"))
}

/// The code of an error that a library answered for us.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::ROUTE_NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => Code::ROUTE_METHOD_NOT_ALLOWED,
        StatusCode::PAYLOAD_TOO_LARGE => Code::REQUEST_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::REQUEST_UNSUPPORTED_MEDIA_TYPE,
        status if status.is_client_error() => Code::REQUEST_MALFORMED,
        _ => Code::SERVER_INTERNAL,
    }
}
