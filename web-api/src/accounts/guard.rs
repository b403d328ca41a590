//! What stands before the handlers: rate limits and proof of identity.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::accounts::Accounts;
use crate::accounts::access_token::TokenError;
use crate::kit::cache::RateDecision;
use crate::kit::http::code::Code;
use crate::kit::http::context::RequestContext;
use crate::kit::http::extract::AuthenticatedPlayer;
use crate::kit::http::problem::{ApiError, ApiResult, write_rate};

/// Lets a request pass when its access token is good and its player is not too fast.
pub(crate) async fn authenticate(
    State(accounts): State<Arc<Accounts>>,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    let token = bearer(request.headers()).ok_or_else(|| ApiError::new(Code::AUTH_REQUIRED))?;
    let verified = accounts.verify(token);
    let verified = verified.map_err(|error| match error {
        TokenError::Invalid => ApiError::new(Code::AUTH_INVALID_TOKEN),
        TokenError::Expired => ApiError::new(Code::AUTH_TOKEN_EXPIRED),
    })?;
    let player = verified.player;
    let rate = accounts.admit(player, verified.login).await?;
    let login = verified.login;
    request
        .extensions_mut()
        .insert(AuthenticatedPlayer { player, login });
    run_within(rate, request, next).await
}

/// Lets a login pass when its address is not too fast.
pub(crate) async fn limit_logins(
    State(accounts): State<Arc<Accounts>>,
    context: RequestContext,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let rate = accounts.count_auth(context.client).await?;
    run_within(rate, request, next).await
}

async fn run_within(
    rate: Option<RateDecision>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let Some(rate) = rate else {
        return Ok(next.run(request).await);
    };
    if !rate.allowed {
        return Err(ApiError::rate_limited(rate));
    }
    let mut response = next.run(request).await;
    // A stricter limit further in has said where the client stands.
    if !response.headers().contains_key("ratelimit-limit") {
        write_rate(response.headers_mut(), &rate);
    }
    Ok(response)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
