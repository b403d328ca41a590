//! `/sessions/*`: the lobby.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gameserver_contract::ids::{GameId, PlayerId, SessionId};
use gameserver_contract::session::{
    CreateSession, JoinResponse, JoinSession, Page, Session, SessionState, SessionVisibility,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::db::idempotency::RecordedResponse;
use crate::kit::http::context::RequestContext;
use crate::kit::http::etag::if_none_match;
use crate::kit::http::extract::{
    AuthenticatedPlayer, IdempotentBody, PageQuery, PathId, StrictQuery,
};
use crate::kit::http::problem::ApiResult;
use crate::kit::http::{BASE_PATH, Http};
use crate::sessions::join::Joiner;
use crate::sessions::opening::Opener;
use crate::sessions::store::records::{SessionFilter, SessionRow};
use crate::sessions::{Sessions, visible_to};

/// Routes that need a login.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Sessions>: FromRef<S>,
    Http: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(create_session, list_sessions))
        .routes(routes!(get_session))
        .routes(routes!(join_session))
        .routes(routes!(leave_session))
        .routes(routes!(end_session))
}

/// Which sessions to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SessionQuery {
    /// Only this game.
    #[param(value_type = Option<String>, pattern = "^[a-z][a-z0-9-]{0,31}$")]
    game: Option<GameId>,
    /// Only this mode.
    #[param(pattern = "^[^\\x00]*$")]
    mode: Option<String>,
    /// Only this region.
    #[param(pattern = "^[^\\x00]*$")]
    region: Option<String>,
    /// Only this state; all that are not final when absent.
    state: Option<SessionState>,
    /// At least so many seats free.
    #[param(maximum = 65535)]
    free_slots_min: Option<u16>,
    /// Only with this label.
    #[param(pattern = "^[^\\x00]*$")]
    tag: Option<String>,
    /// Most entries to return, 1–100. Default 20.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

impl SessionQuery {
    fn split(self) -> (SessionFilter, PageQuery) {
        let filter = SessionFilter {
            game: self.game,
            mode: self.mode,
            region: self.region,
            state: self.state,
            free_slots_min: self.free_slots_min,
            tag: self.tag,
        };
        (
            filter,
            PageQuery {
                limit: self.limit,
                cursor: self.cursor,
            },
        )
    }
}

/// Opens a session.
///
/// An instance with room hosts its match at once. Without a region any instance may be chosen.
#[utoipa::path(
    post, path = "/sessions", tag = "sessions",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,64}$",
        description = "The same key and request return the same answer for 24 hours")),
    request_body = CreateSession,
    responses((status = 201, description = "The session", body = Session,
        headers(("Location" = String, description = "Where it stands")))),
    security(("access_token" = [])),
    extensions(("x-codes" = json!([
        "game.unknown", "game.mode_unknown", "fleet.no_capacity", "fleet.unavailable",
        "session.player_limit", "session.address_limit",
        "session.instance_lost", "idempotency.key_reused", "idempotency.in_progress"
    ])))
)]
async fn create_session(
    State(sessions): State<Arc<Sessions>>,
    State(http): State<Http>,
    login: AuthenticatedPlayer,
    context: RequestContext,
    request: IdempotentBody<CreateSession>,
) -> ApiResult<Response> {
    let opener = Opener {
        player: login.player,
        from: context.client,
        request: request.once.as_ref(),
        answer: created,
    };
    let answer = Box::pin(sessions.create_session(opener, request.body)).await?;
    Ok(replay(answer, http.path_prefix()))
}

/// What the host is answered. The location is that behind the proxy: see [`replay`].
fn created(row: &SessionRow) -> RecordedResponse {
    let session = visible_to(row.session.host_player_id, row.clone());
    let location = format!("{BASE_PATH}/sessions/{}", session.id);
    new_answer(StatusCode::CREATED, &session, Some(location))
}

/// Public sessions, newest first.
#[utoipa::path(
    get, path = "/sessions", tag = "sessions",
    params(SessionQuery),
    responses((status = 200, description = "One page", body = Page<Session>)),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["cursor.invalid", "request.invalid"])))
)]
async fn list_sessions(
    State(sessions): State<Arc<Sessions>>,
    login: AuthenticatedPlayer,
    StrictQuery(query): StrictQuery<SessionQuery>,
) -> ApiResult<Json<Page<Session>>> {
    let (filter, paging) = query.split();
    let page = sessions.list_sessions(&filter, &paging.check()?).await?;
    let items = page
        .items
        .into_iter()
        .map(|row| visible_to(login.player, row))
        .collect();
    Ok(Json(Page {
        items,
        next_cursor: page.next_cursor,
    }))
}

/// One session. Its host also sees the join code.
///
/// A private session is found by its host, by those who had its code and by those who played;
/// for everybody else, here and at every other address, there is none.
#[utoipa::path(
    get, path = "/sessions/{id}", tag = "sessions",
    params(
        ("id" = SessionId, Path, description = "The session"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag that was read")
    ),
    responses(
        (status = 200, description = "The session", body = Session,
            headers(("ETag" = String, description = "Version"))),
        (status = 304, description = "Unchanged since that ETag"),
    ),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["session.not_found"])))
)]
async fn get_session(
    State(sessions): State<Arc<Sessions>>,
    login: AuthenticatedPlayer,
    PathId(id): PathId<SessionId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = sessions.session_for(id, login.player).await?;
    let tag = session_tag(login.player, &row);
    if if_none_match(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(visible_to(login.player, row))).into_response())
}

/// Joins a session: holds a seat for 10 seconds and signs a ticket for it.
///
/// Whoever joins again gets the same seat, held anew. Spectators take no seat; they see at most
/// what the session's `spectators_policy` grants, and at least as late. A private session needs its
/// join code, except from its host; without the right one there is no such session.
#[utoipa::path(
    post, path = "/sessions/{id}/join", tag = "sessions",
    params(
        ("id" = SessionId, Path, description = "The session"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,64}$",
            description = "The same key and request return the same answer for 24 hours")
    ),
    request_body = JoinSession,
    responses((status = 200, description = "The right to connect", body = JoinResponse)),
    security(("access_token" = [])),
    extensions(("x-codes" = json!([
        "session.not_found", "session.join_code_invalid", "session.full", "session.not_joinable",
        "session.spectators_not_allowed", "session.view_not_allowed",
        "session.instance_lost", "session.overloaded", "idempotency.key_reused"
    ])))
)]
async fn join_session(
    State(sessions): State<Arc<Sessions>>,
    login: AuthenticatedPlayer,
    PathId(id): PathId<SessionId>,
    request: IdempotentBody<JoinSession>,
) -> ApiResult<Response> {
    let joiner = Joiner {
        player: login.player,
        login: login.login,
        request: request.once.as_ref(),
        answer: joined,
    };
    let answer = Box::pin(sessions.join_session(id, joiner, &request.body)).await?;
    // A join has no location.
    Ok(replay(answer, ""))
}

fn joined(answer: &JoinResponse) -> RecordedResponse {
    new_answer(StatusCode::OK, answer, None)
}

/// Leaves a session: gives the seat back and closes the connection. Repeating it is harmless.
#[utoipa::path(
    post, path = "/sessions/{id}/leave", tag = "sessions",
    params(("id" = SessionId, Path, description = "The session")),
    responses((status = 204, description = "Left")),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["session.not_found"])))
)]
async fn leave_session(
    State(sessions): State<Arc<Sessions>>,
    login: AuthenticatedPlayer,
    PathId(id): PathId<SessionId>,
) -> ApiResult<StatusCode> {
    sessions.leave_session(id, login.player).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session for everybody. Only its host may.
///
/// The session is `ending` until the instance has handed in its result, marked as aborted.
#[utoipa::path(
    post, path = "/sessions/{id}/end", tag = "sessions",
    params(("id" = SessionId, Path, description = "The session")),
    responses((status = 200, description = "The session", body = Session)),
    security(("access_token" = [])),
    extensions(("x-codes" = json!([
        "session.not_found", "session.not_host", "session.illegal_transition"
    ])))
)]
async fn end_session(
    State(sessions): State<Arc<Sessions>>,
    login: AuthenticatedPlayer,
    PathId(id): PathId<SessionId>,
) -> ApiResult<Json<Session>> {
    let row = sessions.end_session(id, login.player).await?;
    Ok(Json(visible_to(login.player, row)))
}

/// Seats return by themselves without a new version of the record, and the host of a private
/// session sees more than others: both count.
fn session_tag(player: PlayerId, row: &SessionRow) -> String {
    let session = &row.session;
    let private = session.visibility == SessionVisibility::Private;
    let view = if private && session.host_player_id == player {
        "h"
    } else {
        ""
    };
    format!(
        "\"v{}.{}.{}{view}\"",
        row.version, session.players, session.spectators
    )
}

/// An answer that can be remembered.
fn new_answer<T: Serialize>(
    status: StatusCode,
    body: &T,
    location: Option<String>,
) -> RecordedResponse {
    RecordedResponse {
        status: status.as_u16(),
        body: serde_json::to_vec(body).expect("an answer is plain data"),
        location,
    }
}

/// Sends an answer, its location with what a proxy takes off every path.
fn replay(answer: RecordedResponse, path_prefix: &str) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let media_type = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let mut response = (status, [media_type], answer.body).into_response();
    let location = answer.location.map(|path| format!("{path_prefix}{path}"));
    if let Some(location) = location.and_then(|text| text.try_into().ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
