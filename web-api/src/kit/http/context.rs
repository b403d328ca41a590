//! The outermost layers: every request gets an id, an address, a deadline, a log line and a
//! metric; every error gets its body.

use std::any::Any;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gameserver_contract::entropy::{Entropy, random_bytes};
use tracing::Instrument as _;

use crate::kit::http::code::Code;
use crate::kit::http::extract::header_text;
use crate::kit::http::problem::{ApiError, ApiResult};
use crate::kit::http::{Http, forwarded, problem};
use crate::telemetry;

/// Name of the header that carries a request's id, in and out.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The other end of the socket; put there by the accept loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// Who asks, and what the log calls it.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) request_id: String,
    pub(crate) client: IpAddr,
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| ApiError::new(Code::SERVER_INTERNAL))
    }
}

/// Names the request, waits for the answer, and says in log and metrics what became of it.
pub(crate) async fn observe(
    State(http): State<Http>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let context = RequestContext {
        request_id: request_id(request.headers(), &*http.shared.entropy),
        client: client_address(&request, &http),
    };
    let route = route(&request);
    let span = tracing::info_span!("request", request.id = %context.request_id, http.route = route);
    let request_id = context.request_id.clone();
    request.extensions_mut().insert(context);
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = span.in_scope(|| problem::render(response, &request_id));
    write_headers(response.headers_mut(), &request_id);
    let elapsed = started.elapsed();
    let status = response.status();
    telemetry::record_request(&route, status.as_u16(), elapsed);
    tracing::debug!(
        parent: &span, http.status = status.as_u16(),
        duration_ms = elapsed.as_secs_f64() * 1e3, "a request was answered"
    );
    response
}

fn request_id(headers: &HeaderMap, entropy: &dyn Entropy) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|header| header_text(header.as_bytes()));
    given.unwrap_or_else(|| format!("{:032x}", u128::from_be_bytes(random_bytes(entropy))))
}

/// Method and template of the route: as many values as there are routes.
fn route(request: &Request) -> String {
    match request.extensions().get::<MatchedPath>() {
        Some(path) => format!("{} {}", known_method(request.method()), path.as_str()),
        None => "unmatched".to_owned(),
    }
}

fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known
        .into_iter()
        .find(|name| method.as_str() == *name)
        .unwrap_or("OTHER")
}

/// The socket's peer, or what the outermost of the trusted proxies saw.
fn client_address(request: &Request, http: &Http) -> IpAddr {
    let peer = request.extensions().get::<PeerAddress>();
    let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |PeerAddress(peer)| {
        peer.ip()
    });
    let (header, hops) = http.forwarding();
    if hops == 0 {
        return peer;
    }
    forwarded::client(request.headers(), header, hops).unwrap_or_else(|reason| {
        // All such clients share the proxy's limit, so somebody should know; once is enough.
        if http.is_first_unread_forwarding() {
            tracing::warn!(
                reason = reason.as_str(),
                "the header {} of a trusted proxy cannot be read: check \
                 http.trusted_proxy_hops and http.forwarded_header; rate limits count the \
                 proxy's address instead (said once)",
                header.as_str()
            );
        }
        peer
    })
}

fn write_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// Answers for a handler that takes too long.
pub(crate) async fn limit_time(
    State(http): State<Http>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let answer = tokio::time::timeout(http.request_deadline(), next.run(request)).await;
    answer.map_err(|_| ApiError::new(Code::SERVER_TIMEOUT))
}

/// Runs what may write to its end, even when the client hangs up or the deadline passes.
pub(crate) async fn finish_writes(
    State(http): State<Http>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    http.shared.tasks.run_to_end(next.run(request)).await
}

/// Answers for a handler that panicked. The panic itself is in the log already.
pub(crate) fn answer_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    ApiError::new(Code::SERVER_INTERNAL).into_response()
}
