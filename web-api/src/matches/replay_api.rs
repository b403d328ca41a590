//! `/sessions/{id}/replay`: the log of a match, whole or a range of it (RFC 9110 §14).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gameserver_contract::ids::SessionId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::http::code::Code;
use crate::kit::http::etag::if_none_match;
use crate::kit::http::extract::{AuthenticatedPlayer, PathId};
use crate::kit::http::problem::{ApiError, ApiResult};
use crate::matches::Matches;
use crate::matches::error::Error;
use crate::matches::replays::Replay;

/// What a log is called among media types.
const MEDIA_TYPE: &str = "application/vnd.gameserver.replay";
/// Name of the header that tells whether the match was recorded to its end.
pub(crate) const COMPLETE: &str = "x-replay-complete";

/// Routes that need a login.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Matches>: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(get_replay))
}

/// The log of a session's match, once it is over.
///
/// It may be read in ranges. `X-Replay-Complete` is `false` when the match broke before its end.
/// Its host and those who played have it at once. Nobody else finds that of a private session; of
/// a public one it is for those who may watch everything, when the session's delay has passed.
#[utoipa::path(
    get, path = "/sessions/{id}/replay", tag = "sessions",
    params(
        ("id" = SessionId, Path, description = "The session"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
        ("If-Range" = Option<String>, Header,
            description = "The ETag that the range belongs to; the whole log when it is another"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag that was read")
    ),
    responses(
        (status = 200, description = "The log", content_type = "application/vnd.gameserver.replay",
            headers(("ETag" = String, description = "Version"))),
        (status = 206, description = "The range",
            content_type = "application/vnd.gameserver.replay"),
        (status = 304, description = "Unchanged since that ETag"),
    ),
    security(("access_token" = [])),
    extensions(("x-codes" = json!([
        "session.not_found", "replay.not_ready", "replay.not_found",
        "session.spectators_not_allowed", "session.view_not_allowed",
        "request.range_not_satisfiable", "session.instance_lost", "fleet.unavailable"
    ])))
)]
async fn get_replay(
    State(matches): State<Arc<Matches>>,
    login: AuthenticatedPlayer,
    PathId(id): PathId<SessionId>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let replay = matches.find_replay(id, login.player).await?;
    let tag = replay_tag(&replay);
    if if_none_match(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let (status, part) = match wanted(&headers, &tag, replay.total) {
        Wanted::Whole => (
            StatusCode::OK,
            Part {
                from: 0,
                to: replay.total,
            },
        ),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => return Ok(not_satisfiable(replay.total)),
    };
    let mut answer = status.into_response();
    write_headers(answer.headers_mut(), &replay, &tag);
    let set = |headers: &mut HeaderMap, name, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    set(
        answer.headers_mut(),
        header::CONTENT_LENGTH,
        (part.to - part.from).to_string(),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{}", part.from, part.to - 1, replay.total);
        set(answer.headers_mut(), header::CONTENT_RANGE, range);
    }
    if method != Method::HEAD {
        *answer.body_mut() = body(matches, replay, part);
    }
    Ok(answer)
}

fn replay_tag(replay: &Replay) -> String {
    let end = if replay.is_complete { "" } else { ".part" };
    format!("\"{}.{}{end}\"", replay.match_id, replay.total)
}

fn write_headers(headers: &mut HeaderMap, replay: &Replay, tag: &str) {
    let name = format!("attachment; filename=\"{}.gslog\"", replay.match_id);
    let complete = if replay.is_complete { "true" } else { "false" };
    for (header, text) in [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::ACCEPT_RANGES, "bytes"),
        // A finished log never changes, but an unfinished one may yet be completed.
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::CONTENT_DISPOSITION, &name),
        (header::ETAG, tag),
        (HeaderName::from_static(COMPLETE), complete),
    ] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(header, value);
        }
    }
}

fn not_satisfiable(total: u64) -> Response {
    let range = [(header::CONTENT_RANGE, format!("bytes */{total}"))];
    (range, ApiError::new(Code::REQUEST_RANGE_NOT_SATISFIABLE)).into_response()
}

/// Reads on as the client takes it. An error cuts the connection, so that the client sees that
/// bytes are missing.
fn body(matches: Arc<Matches>, replay: Replay, part: Part) -> Body {
    let pieces = stream::try_unfold(part.from, move |offset| {
        let (matches, replay) = (Arc::clone(&matches), replay.clone());
        async move {
            if offset == part.to {
                return Ok(None);
            }
            let piece = matches.read_replay(&replay, offset, part.to - offset).await;
            let piece = piece.inspect_err(|error| log_cut(&replay, error))?;
            let next = offset + piece.len() as u64;
            Ok::<_, Error>(Some((Bytes::from(piece), next)))
        }
    });
    Body::from_stream(pieces)
}

fn log_cut(replay: &Replay, error: &Error) {
    tracing::warn!(
        match.id = %replay.match_id, error = error as &dyn std::error::Error,
        "a replay was cut off"
    );
}

/// Bytes `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    from: u64,
    to: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Part),
    /// A range that the log does not have.
    Nothing,
}

/// Several ranges, another unit and what cannot be read count as no `Range` at all.
fn wanted(headers: &HeaderMap, tag: &str, total: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let of_this_version = text(&header::IF_RANGE).is_none_or(|known| known.trim() == tag);
    let Some(range) = text(&header::RANGE).filter(|_| of_this_version) else {
        return Wanted::Whole;
    };
    parse(range, total).unwrap_or(Wanted::Whole)
}

fn parse(range: &str, total: u64) -> Option<Wanted> {
    let (unit, spec) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let part = match (first, last) {
        ("", last) => Part {
            from: total.saturating_sub(number(last)?),
            to: total,
        },
        (first, "") => Part {
            from: number(first)?,
            to: total,
        },
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            Part {
                from: first,
                to: last.saturating_add(1).min(total),
            }
        }
    };
    Some(if part.from < part.to {
        Wanted::Part(part)
    } else {
        Wanted::Nothing
    })
}

/// Digits only: `parse` alone would take a plus sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(from: u64, to: u64) -> Wanted {
        Wanted::Part(Part { from, to })
    }

    #[test]
    fn the_three_forms_of_a_range_are_read() {
        assert_eq!(parse("bytes=2-4", 10), Some(part(2, 5)));
        assert_eq!(parse("bytes=2-", 10), Some(part(2, 10)));
        assert_eq!(parse("bytes=-3", 10), Some(part(7, 10)));
        assert_eq!(parse("bytes=-30", 10), Some(part(0, 10)));
        assert_eq!(parse("Bytes= 0-99 ", 10), Some(part(0, 10)));
    }

    #[test]
    fn a_range_that_the_log_does_not_have_is_told_from_one_that_cannot_be_read() {
        for range in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(parse(range, 10), Some(Wanted::Nothing), "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(Wanted::Nothing));
        for range in [
            "bytes=4-2",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=",
            "x",
        ] {
            assert_eq!(parse(range, 10), None, "{range}");
        }
    }

    proptest! {
        #[test]
        fn no_range_reaches_beyond_the_log(range in ".{0,40}", total: u64) {
            if let Some(Wanted::Part(part)) = parse(&format!("bytes={range}"), total) {
                prop_assert!(part.from < part.to && part.to <= total);
            }
        }
    }
}
