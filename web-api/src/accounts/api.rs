//! `/auth/*` and the public keys of access tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gameserver_contract::account::{GuestLogin, LoginResponse, RefreshLogin};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::Accounts;
use crate::accounts::access_token::Jwks;
use crate::kit::http::Http;
use crate::kit::http::extract::JsonBody;
use crate::kit::http::problem::ApiResult;

/// Routes that anybody may call, at a limited rate.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Accounts>: FromRef<S>,
    Http: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(log_in_guest))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
}

/// The one address outside the versioned API that other services read.
pub(crate) fn well_known_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Accounts>: FromRef<S>,
    Http: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(jwks))
}

/// Logs a guest in.
///
/// An empty object makes a new guest and hands out a device with its secret, once. With both
/// fields it logs the same guest in again. Unknown devices and wrong secrets are answered alike.
#[utoipa::path(
    post, path = "/auth/guest", tag = "auth",
    request_body = GuestLogin,
    responses((status = 200, description = "Logged in", body = LoginResponse)),
    extensions(("x-codes" = json!(["auth.invalid_credentials", "rate.limited"])))
)]
async fn log_in_guest(
    State(accounts): State<Arc<Accounts>>,
    JsonBody(login): JsonBody<GuestLogin>,
) -> ApiResult<Json<LoginResponse>> {
    Ok(Json(accounts.login_guest(login).await?))
}

/// Spends a refresh token for a new pair of tokens.
///
/// Repeated within 10 seconds it returns the same refresh token again, for clients that lost the
/// answer. Used later again, the whole login is closed.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "auth",
    request_body = RefreshLogin,
    responses((status = 200, description = "A new pair of tokens", body = LoginResponse)),
    extensions(("x-codes" = json!([
        "auth.invalid_refresh_token", "auth.refresh_token_reused", "rate.limited"
    ])))
)]
async fn refresh(
    State(accounts): State<Arc<Accounts>>,
    JsonBody(login): JsonBody<RefreshLogin>,
) -> ApiResult<Json<LoginResponse>> {
    Ok(Json(accounts.refresh(&login).await?))
}

/// Closes the login that a refresh token belongs to.
///
/// Its access tokens end with it. Unknown tokens are answered alike.
#[utoipa::path(
    post, path = "/auth/logout", tag = "auth",
    request_body = RefreshLogin,
    responses((status = 204, description = "Logged out")),
    extensions(("x-codes" = json!(["rate.limited"])))
)]
async fn log_out(
    State(accounts): State<Arc<Accounts>>,
    JsonBody(login): JsonBody<RefreshLogin>,
) -> ApiResult<StatusCode> {
    accounts.logout(&login).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Public keys that access tokens are verified with (RFC 7517).
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, description = "The keys", body = Jwks))
)]
async fn jwks(State(accounts): State<Arc<Accounts>>) -> Response {
    (
        [(header::CACHE_CONTROL, "public, max-age=300")],
        Json(accounts.jwks()),
    )
        .into_response()
}
