//! Refuses requests whose header is not what HTTP/1.1 demands (RFC 9112) although the parser took
//! it: a proxy in front may have read them in another way.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::kit::http::code::Code;
use crate::kit::http::problem::{ApiError, ApiResult};

/// What the accept loop saw of a request's header; requests that came by another way have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceivedHead {
    /// A line of it ended without a carriage return.
    pub(crate) has_bare_line_feed: bool,
}

/// Answers what is malformed, and closes its connection.
pub(crate) async fn refuse_malformed(request: Request, next: Next) -> ApiResult<Response> {
    let head = request.extensions().get::<ReceivedHead>();
    let flaw = head.and_then(|head| flaw(*head, request.version(), request.headers()));
    let Some(flaw) = flaw else {
        return Ok(next.run(request).await);
    };
    let mut answer = ApiError::new(Code::REQUEST_MALFORMED)
        .detail("header", flaw)
        .into_response();
    answer
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(answer)
}

fn flaw(head: ReceivedHead, version: Version, headers: &HeaderMap) -> Option<&'static str> {
    if version > Version::HTTP_11 {
        return None;
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    if head.has_bare_line_feed {
        Some("a line ends without a carriage return")
    } else if hosts > 1 {
        Some("host is there more than once")
    } else if hosts == 0 && version == Version::HTTP_11 {
        Some("host is missing")
    } else {
        None
    }
}
