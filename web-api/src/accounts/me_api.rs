//! `/me`: the profile of whoever is logged in.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gameserver_contract::account::{Player, UpdateMe};
use gameserver_contract::ids::PlayerId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::store::players::PlayerRow;
use crate::compose::SharedApp;
use crate::kit::error::Error;
use crate::kit::http::HttpState;
use crate::kit::http::code::Code;
use crate::kit::http::etag::{IfMatch, is_known, version_tag};
use crate::kit::http::extract::{AuthenticatedPlayer, JsonBody};
use crate::kit::http::problem::{ApiError, ApiResult};

/// How often a change of any version is tried when others change it at the same time.
const CHANGE_TRIES_MAX: u32 = 3;

/// Routes that need a login.
pub(crate) fn routes() -> OpenApiRouter<HttpState> {
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
    login: AuthenticatedPlayer,
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
    params(("If-Match" = String, Header, example = "*",
        description = "The ETag that was read, a list of them, or `*` for any version")),
    request_body = UpdateMe,
    responses((status = 200, description = "The changed profile", body = Player,
        headers(("ETag" = String, description = "New version")))),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["precondition.required", "precondition.failed"])))
)]
async fn patch_me(
    State(app): State<SharedApp>,
    login: AuthenticatedPlayer,
    if_match: IfMatch,
    JsonBody(update): JsonBody<UpdateMe>,
) -> ApiResult<Response> {
    Ok(with_tag(
        change(&app, login.player, &if_match, &update).await?,
    ))
}

/// Changes the version that there is, when it is one of those that were named. Whoever names none
/// does not mind that somebody else was faster.
async fn change(
    app: &SharedApp,
    player: PlayerId,
    if_match: &IfMatch,
    update: &UpdateMe,
) -> ApiResult<PlayerRow> {
    let mut tries = match if_match {
        IfMatch::Any => CHANGE_TRIES_MAX,
        IfMatch::Versions(_) => 1,
    };
    loop {
        let version = app.me(player).await?.version;
        if !if_match.includes(version) {
            return Err(ApiError::new(Code::PreconditionFailed));
        }
        tries -= 1;
        match app.update_me(player, version, update.clone()).await {
            Err(Error::VersionMismatch) if tries > 0 => {}
            done => return Ok(done?),
        }
    }
}

fn with_tag(row: PlayerRow) -> Response {
    ([(header::ETAG, version_tag(row.version))], Json(row.player)).into_response()
}
