//! `/players/{id}/stats` and `/players/{id}/matches`: totals and histories.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use gameserver_contract::account::{GameStats, MatchRecord};
use gameserver_contract::ids::PlayerId;
use gameserver_contract::session::Page;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::http::extract::{PageQuery, PathId, StrictQuery};
use crate::kit::http::problem::ApiResult;
use crate::matches::Matches;

/// Routes that need a login.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Matches>: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(get_stats))
        .routes(routes!(list_matches))
}

/// A player's totals.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PlayerStats {
    /// One entry per game played.
    items: Vec<GameStats>,
}

/// A player's totals over all finished matches, per game.
#[utoipa::path(
    get, path = "/players/{id}/stats", tag = "players",
    params(("id" = PlayerId, Path, description = "The player")),
    responses((status = 200, description = "The totals", body = PlayerStats)),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["player.not_found"])))
)]
async fn get_stats(
    State(matches): State<Arc<Matches>>,
    PathId(id): PathId<PlayerId>,
) -> ApiResult<Json<PlayerStats>> {
    Ok(Json(PlayerStats {
        items: matches.player_stats(id).await?,
    }))
}

/// A player's matches, newest first.
#[utoipa::path(
    get, path = "/players/{id}/matches", tag = "players",
    params(("id" = PlayerId, Path, description = "The player"), PageQuery),
    responses((status = 200, description = "One page", body = Page<MatchRecord>)),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["player.not_found", "cursor.invalid", "request.invalid"])))
)]
async fn list_matches(
    State(matches): State<Arc<Matches>>,
    PathId(id): PathId<PlayerId>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> ApiResult<Json<Page<MatchRecord>>> {
    Ok(Json(matches.player_matches(id, &query.check()?).await?))
}
