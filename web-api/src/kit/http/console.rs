//! The console, a page that uses the API, and the JavaScript SDK that it is made with. Their files
//! are inside the program.
//!
//! It knows nothing of what the page does; the page has no right that another client lacks.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::kit::http::Http;
use crate::kit::http::etag::if_none_match;

/// The files that stand at `/`.
#[derive(RustEmbed)]
#[folder = "../assets/console"]
struct Console;

/// The files that stand at `/sdk/`.
#[derive(RustEmbed)]
#[folder = "../sdk/javascript"]
#[prefix = "sdk/"]
struct Sdk;

/// What the page may load and reach: its own files, and any game server, because instances have
/// addresses of their own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' https: wss: ws:; \
    style-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// Answers for every address that no route has: a file, or that nothing stands there.
pub(crate) async fn serve(State(http): State<Http>, request: Request) -> Response {
    if !http.shows_console() {
        return StatusCode::NOT_FOUND.into_response();
    }
    find(&request, "index.html")
}

/// The console without an API: its page at `/` plays the match log that stands at `/replay` of the
/// same server, for whoever has nothing but a log.
pub fn recording_page() -> Router {
    Router::new().fallback(async |request: Request| find(&request, "recording.html"))
}

fn find(request: &Request, start_page: &'static str) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { start_page } else { path };
    match file(path).filter(|_| reads) {
        Some(file) => answer(path, file, request),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A look-up among embedded names: there is no path to climb.
fn file(path: &str) -> Option<EmbeddedFile> {
    Sdk::get(path).or_else(|| Console::get(path))
}

fn answer(path: &str, file: EmbeddedFile, request: &Request) -> Response {
    let tag = tag(&file);
    if if_none_match(request.headers(), &tag) {
        let mut answer = StatusCode::NOT_MODIFIED.into_response();
        write_headers(answer.headers_mut(), &tag);
        return answer;
    }
    let length = file.data.len();
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        Body::from(file.data)
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    write_headers(headers, &tag);
    headers.insert(header::CONTENT_LENGTH, length.into());
    let media_type = HeaderValue::from_static(media_type(path));
    headers.insert(header::CONTENT_TYPE, media_type);
    answer
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = u128::from_be_bytes(std::array::from_fn(|at| file.metadata.sha256_hash()[at]));
    format!("\"{hash:032x}\"")
}

fn write_headers(headers: &mut HeaderMap, tag: &str) {
    for (name, text) in [
        (header::ETAG, tag),
        // A new version of the program shows at once, and an unchanged file is not sent again.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
}

fn media_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "md" | "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/vnd.microsoft.icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_is_found_and_has_a_media_type_of_its_own() {
        let names: Vec<_> = Console::iter().chain(Sdk::iter()).collect();
        assert!(names.iter().any(|name| name == "index.html"));
        assert!(names.iter().any(|name| name == "recording.html"));
        assert!(names.iter().any(|name| name == "sdk/src/index.js"));
        for name in names {
            assert!(file(&name).is_some(), "{name}");
        }
        assert_eq!(media_type("a/b.mjs"), "text/javascript; charset=utf-8");
        assert_eq!(media_type("LICENSE"), "application/octet-stream");
    }
}
