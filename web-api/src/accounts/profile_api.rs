//! `/me` and `/players/{id}`: profiles.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gameserver_contract::account::{Player, UpdateMe};
use gameserver_contract::ids::PlayerId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::Accounts;
use crate::accounts::error::Error;
use crate::accounts::store::players::PlayerRow;
use crate::kit::error::KitError;
use crate::kit::http::Http;
use crate::kit::http::code::Code;
use crate::kit::http::etag::{IfMatch, if_none_match, version_tag};
use crate::kit::http::extract::{AuthenticatedPlayer, JsonBody, PathId};
use crate::kit::http::problem::{ApiError, ApiResult};

/// How often a change of any version is tried when others change it at the same time.
const CHANGE_TRIES_MAX: u32 = 3;

/// Routes that need a login.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Accounts>: FromRef<S>,
    Http: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(get_me, patch_me))
        .routes(routes!(get_player))
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
    State(accounts): State<Arc<Accounts>>,
    login: AuthenticatedPlayer,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = accounts.me(login.player).await?;
    let tag = version_tag(row.version);
    if if_none_match(&headers, &tag) {
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
    State(accounts): State<Arc<Accounts>>,
    login: AuthenticatedPlayer,
    if_match: IfMatch,
    JsonBody(update): JsonBody<UpdateMe>,
) -> ApiResult<Response> {
    Ok(with_tag(
        change(&accounts, login.player, &if_match, &update).await?,
    ))
}

/// A player as others see them.
#[utoipa::path(
    get, path = "/players/{id}", tag = "players",
    params(("id" = PlayerId, Path, description = "The player")),
    responses((status = 200, description = "The profile", body = Player)),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["player.not_found"])))
)]
async fn get_player(
    State(accounts): State<Arc<Accounts>>,
    PathId(id): PathId<PlayerId>,
) -> ApiResult<Json<Player>> {
    Ok(Json(accounts.player(id).await?))
}

/// Changes the version that there is, when it is one of those that were named. Whoever names none
/// does not mind that somebody else was faster.
async fn change(
    accounts: &Accounts,
    player: PlayerId,
    if_match: &IfMatch,
    update: &UpdateMe,
) -> ApiResult<PlayerRow> {
    let mut tries = match if_match {
        IfMatch::Any => CHANGE_TRIES_MAX,
        IfMatch::Versions(_) => 1,
    };
    loop {
        let version = accounts.me(player).await?.version;
        if !if_match.includes(version) {
            return Err(ApiError::new(Code::PRECONDITION_FAILED));
        }
        tries -= 1;
        match accounts.update_me(player, version, update.clone()).await {
            Err(Error::Kit(KitError::VersionMismatch)) if tries > 0 => {}
            done => return Ok(done?),
        }
    }
}

fn with_tag(row: PlayerRow) -> Response {
    ([(header::ETAG, version_tag(row.version))], Json(row.player)).into_response()
}
