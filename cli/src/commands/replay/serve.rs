//! `replay serve`: a log for browsers on this machine: a page that plays it, and the file, whole or
//! in parts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gameserver_web_api::{Limits, recording_page, server};
use tokio::net::TcpListener;

use crate::commands::say;
use crate::error::CliError;
use crate::ports;
use crate::shutdown::Shutdown;

/// Serves until a signal stops it.
pub(super) async fn run(file: &Path, port: u16) -> Result<(), CliError> {
    let bytes = super::read(file)?;
    let match_id = super::open(file, &bytes)?.header().match_id;
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let refused = |error| CliError::Port {
        address,
        purpose: "the page",
        cause: ports::cause(address, &error),
        advice: "choose another --port".to_owned(),
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let taken = listener.local_addr().map_err(refused)?;
    say(&format!(
        "match {match_id} plays at http://{taken}/ in a browser; the file is \
         http://{taken}/replay. Ctrl-C stops."
    ));
    let router = router(Bytes::from(bytes));
    // The log is in memory once, however often it is asked for.
    let limits = Limits {
        unsent_bytes_per_connection_max: usize::MAX,
        unsent_bytes_max: usize::MAX,
        ..Limits::DEFAULT
    };
    server::serve_http(listener, router, limits, shutdown.drain).await;
    Ok(())
}

/// The page requests the file at this path.
fn router(log: Bytes) -> Router {
    let file = Router::new().route("/replay", get(part)).with_state(log);
    file.merge(recording_page())
}

async fn part(State(log): State<Bytes>, headers: HeaderMap) -> Response {
    let plain = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ];
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = range else {
        return (plain, log).into_response();
    };
    let length = log.len();
    match parse_range(range, length) {
        RequestedRange::Whole => (plain, log).into_response(),
        RequestedRange::Unsatisfiable => {
            let headers = [(CONTENT_RANGE, format!("bytes */{length}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response()
        }
        RequestedRange::Part { first, end } => {
            let headers = [(CONTENT_RANGE, format!("bytes {first}-{}/{length}", end - 1))];
            (
                StatusCode::PARTIAL_CONTENT,
                plain,
                headers,
                log.slice(first..end),
            )
                .into_response()
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum RequestedRange {
    /// Not a single range of bytes: RFC 9110 allows the whole file as the response.
    Whole,
    Part {
        first: usize,
        end: usize,
    },
    /// The range begins behind the end.
    Unsatisfiable,
}

fn parse_range(range: &str, length: usize) -> RequestedRange {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return RequestedRange::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let part = |first: usize, end: usize| {
        if first < end {
            RequestedRange::Part { first, end }
        } else {
            RequestedRange::Unsatisfiable
        }
    };
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => part(first, last.saturating_add(1).min(length)),
        (Ok(first), Err(_)) if last.is_empty() => part(first, length),
        (Err(_), Ok(last)) if first.is_empty() => part(length - last.min(length), length),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => RequestedRange::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_there_is() {
        let part = |first, end| RequestedRange::Part { first, end };
        assert_eq!(parse_range("bytes=0-9", 100), part(0, 10));
        assert_eq!(parse_range("bytes=90-", 100), part(90, 100));
        assert_eq!(parse_range("bytes=90-500", 100), part(90, 100));
        assert_eq!(parse_range("bytes=-10", 100), part(90, 100));
        assert_eq!(parse_range("bytes=-500", 100), part(0, 100));
        assert_eq!(
            parse_range("bytes=100-", 100),
            RequestedRange::Unsatisfiable
        );
        assert_eq!(parse_range("bytes=-0", 100), RequestedRange::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_range_gets_everything() {
        for odd in ["bytes=1-2,5-6", "lines=1-2", "bytes=9-1", "bytes=a-b", ""] {
            assert_eq!(parse_range(odd, 100), RequestedRange::Whole, "{odd}");
        }
    }
}
