//! `/sessions/events`: the lobby as a stream of server-sent events.
//!
//! Streams need the same header as every other call, so a page reads them with `fetch`; an
//! `EventSource` cannot send it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gameserver_contract::ids::{PlayerId, SessionId};
use gameserver_contract::session::Session;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::EVENTS_HEARTBEAT;
use crate::kit::http::extract::{AuthenticatedPlayer, PathId};
use crate::kit::http::problem::ApiResult;
use crate::sessions::watch::{LobbyEvent, SessionSubscription};
use crate::sessions::{Sessions, visible_to};

/// Routes that need a login.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Sessions>: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(watch_sessions))
        .routes(routes!(watch_session))
}

/// Data of the event `snapshot`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Snapshot {
    /// Public sessions, newest first, at most 1,000.
    items: Vec<Session>,
}

/// Data of the event `removed`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Removed {
    /// The session that is not in the list any more.
    id: SessionId,
}

/// The list of public sessions, pushed.
///
/// The first event is `snapshot` with `items`, the newest 1,000 sessions. Then `session` with a
/// whole record whenever one is opened or changes, and `removed` with the `id` after its last one.
/// `id:` counts the changes. Comments every 15 seconds keep the connection. After `resync` the
/// stream ends: something may have been missed, 15 minutes are over, or the server is going away;
/// ask again.
#[utoipa::path(
    get, path = "/sessions/events", tag = "sessions",
    responses((status = 200, description = "Events without end", body = Snapshot,
        content_type = "text/event-stream")),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["server.busy", "server.not_ready"])))
)]
async fn watch_sessions(
    State(sessions): State<Arc<Sessions>>,
    login: AuthenticatedPlayer,
) -> ApiResult<Response> {
    let watch = sessions.watch_sessions(login.player).await?;
    Ok(events(watch, login.player))
}

/// One session, pushed.
///
/// `session` with the whole record at once and at each change. A session that ends is told as
/// `session`, then as `removed`; the stream ends with that. For the rest see `/sessions/events`.
#[utoipa::path(
    get, path = "/sessions/{id}/events", tag = "sessions",
    params(("id" = SessionId, Path, description = "The session")),
    responses((status = 200, description = "Events until the session's end", body = Removed,
        content_type = "text/event-stream")),
    security(("access_token" = [])),
    extensions(("x-codes" = json!(["session.not_found", "server.busy", "server.not_ready"])))
)]
async fn watch_session(
    State(sessions): State<Arc<Sessions>>,
    login: AuthenticatedPlayer,
    PathId(id): PathId<SessionId>,
) -> ApiResult<Response> {
    let watch = sessions.watch_session(id, login.player).await?;
    Ok(events(watch, login.player))
}

fn events(watch: SessionSubscription, player: PlayerId) -> Response {
    let events = stream::unfold(watch, move |mut watch| async move {
        let next = watch.next().await?;
        Some((Ok::<_, Infallible>(event(next, player)), watch))
    });
    let heartbeat = KeepAlive::new().interval(EVENTS_HEARTBEAT);
    let mut answer = Sse::new(events).keep_alive(heartbeat).into_response();
    // Some proxies would collect the events otherwise.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    let headers = answer.headers_mut();
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    answer
}

fn event(event: LobbyEvent, player: PlayerId) -> Event {
    match event {
        LobbyEvent::Snapshot(sequence, rows) => {
            let items = rows.into_iter().map(|row| visible_to(player, row));
            let items = items.collect();
            named("snapshot", sequence, &Snapshot { items })
        }
        LobbyEvent::Session(sequence, change) => {
            let session = visible_to(player, change.record.clone());
            named("session", sequence, &session)
        }
        LobbyEvent::Removed(sequence, id) => named("removed", sequence, &Removed { id }),
        LobbyEvent::Resync(sequence) => named("resync", sequence, &serde_json::json!({})),
    }
}

fn named<T: Serialize>(name: &str, sequence: u64, data: &T) -> Event {
    let data = serde_json::to_string(data).expect("a record is plain data");
    // JSON has no line break outside of texts, and none unescaped in them.
    Event::default()
        .event(name)
        .id(sequence.to_string())
        .data(data)
}
