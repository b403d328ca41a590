//! `/games`: what can be played here.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gameserver_contract::game::GameDescriptor;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::fleet::Fleet;
use crate::kit::http::problem::ApiResult;

/// Routes that anybody may call.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Fleet>: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(list_games))
}

/// The games that are hosted here now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct GameList<'a> {
    /// By id, each with its modes; the first mode is the default one.
    items: &'a [GameDescriptor],
}

/// The games that are hosted here now, with their modes.
#[utoipa::path(
    get, path = "/games", tag = "sessions",
    responses((status = 200, description = "All of them, at most 5 seconds old",
        body = GameList<'static>))
)]
async fn list_games(State(fleet): State<Arc<Fleet>>) -> ApiResult<Response> {
    let games = fleet.games().await?;
    let briefly = [(header::CACHE_CONTROL, "public, max-age=5")];
    Ok((briefly, Json(GameList { items: &games })).into_response())
}
