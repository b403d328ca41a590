//! `/me`: the profile of whoever is logged in.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gameserver_contract::account::{Player, UpdateMe};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{IfMatch, JsonBody, Login, is_known, version_tag};
use crate::app::SharedApp;
use crate::store::PlayerRow;

/// Routes that need a login.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(get_me, patch_me))
}

/// The own profile.
#[utoipa::path(
    get, path = "/me", tag = "players",
    params(("If-None-Match" = Option<String>, Header, description = "An ETag that was read")),
    responses(
        (status = 200, description = "The profile", body = Player,
            headers(("ETag" = String, description = "Version, for If-Match"))),
        (status = 304, description = "Unchanged since that ETag"),
    ),
    security(("access_token" = []))
)]
async fn get_me(
    State(app): State<SharedApp>,
    login: Login,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = app.me(login.player).await?;
    let tag = version_tag(row.version);
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(with_tag(row))
}

/// Changes the own profile; only the named fields change.
#[utoipa::path(
    patch, path = "/me", tag = "players",
    params(("If-Match" = String, Header, description = "The ETag that was read")),
    request_body = UpdateMe,
    responses((status = 200, description = "The changed profile", body = Player,
        headers(("ETag" = String, description = "New version")))),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["precondition.required", "precondition.failed"])))
)]
async fn patch_me(
    State(app): State<SharedApp>,
    login: Login,
    IfMatch(version): IfMatch,
    JsonBody(update): JsonBody<UpdateMe>,
) -> ApiResult<Response> {
    Ok(with_tag(
        app.update_me(login.player, version, update).await?,
    ))
}

fn with_tag(row: PlayerRow) -> Response {
    ([(header::ETAG, version_tag(row.version))], Json(row.player)).into_response()
}
