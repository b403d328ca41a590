//! Reads requests: who asks, which page, which version, which body. Every refusal is an
//! [`ApiError`], so that no library's text reaches a client.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use gameserver_contract::ids::PlayerId;
use gameserver_contract::number::integer_of;
use gameserver_contract::problem::FieldError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::{HEADER_TEXT_LENGTH_MAX, PAGE_DEFAULT, PAGE_MAX};
use crate::kit::cursor::Paging;
use crate::kit::error::field;
use crate::kit::http::Http;
use crate::kit::http::code::Code;
use crate::kit::http::problem::{ApiError, ApiResult};
use crate::kit::idempotency::IdempotentRequest;

/// What is wrong with a text that has a NUL.
const NO_NUL: &str = "not contain the character U+0000";
/// How JSON writes it.
const NUL_ESCAPE: &[u8] = br"\u0000";

/// The player whose access token came with the request; put there by what stands before the routes
/// that need a login.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuthenticatedPlayer {
    pub(crate) player: PlayerId,
    /// Tokens of older builds name none.
    pub(crate) login: Option<Uuid>,
}

impl<S: Sync> FromRequestParts<S> for AuthenticatedPlayer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parts
            .extensions
            .get()
            .copied()
            .ok_or_else(|| ApiError::new(Code::AUTH_REQUIRED))
    }
}

/// An id in the path. A text that is no id names nothing, so it is answered like an unknown one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathId<T>(pub(crate) T);

/// An id that a path can name.
pub(crate) trait ResourceId: FromStr + Send {
    /// The answer when nothing has this id.
    fn not_found() -> ApiError;
}

impl<T: ResourceId, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let text: Option<Path<String>> = Path::from_request_parts(parts, state).await.ok();
        let id = text.and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(T::not_found)
    }
}

/// The query string; an unknown parameter is an error.
#[derive(Debug)]
pub(crate) struct StrictQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let query = Query::try_from_uri(&parts.uri);
        let Query(value) = query.map_err(|error| query_error(&error))?;
        let texts = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(texts) = texts.map_err(|error| query_error(&error))?;
        let with_nul = texts.iter().filter(|(_, text)| text.contains('\0'));
        let complaints = with_nul.map(|(name, _)| field(format!("/{name}"), NO_NUL));
        let complaints: Vec<_> = complaints.collect();
        if complaints.is_empty() {
            Ok(Self(value))
        } else {
            Err(ApiError::invalid(complaints))
        }
    }
}

fn query_error(error: &QueryRejection) -> ApiError {
    let text = error.body_text();
    let text = text
        .rsplit_once("query string: ")
        .map_or(text.as_str(), |(_, rest)| rest);
    let (name, complaint) = text.split_once(": ").unwrap_or(("", text));
    let pointer = if name.is_empty() {
        String::new()
    } else {
        format!("/{name}")
    };
    ApiError::invalid(vec![field(pointer, format!("be readable: {complaint}"))])
}

/// `limit` and `cursor` as they came.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Most entries to return, 1–100. Default 20.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub(crate) limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

impl PageQuery {
    /// Checks the numbers.
    pub(crate) fn check(self) -> ApiResult<Paging> {
        let limit = self.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            let detail = format!("be 1 to {PAGE_MAX}");
            return Err(ApiError::invalid(vec![field("/limit", detail)]));
        }
        Ok(Paging {
            limit,
            cursor: self.cursor,
        })
    }
}

/// A JSON body. An unknown field is an error.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T>
where
    Http: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let bytes = read_json_bytes(request, state).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A JSON body of a request that may carry an `Idempotency-Key`.
#[derive(Debug)]
pub(crate) struct IdempotentBody<T> {
    pub(crate) body: T,
    /// `None` without a key.
    pub(crate) once: Option<IdempotentRequest>,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for IdempotentBody<T>
where
    Http: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let (mut parts, body) = request.into_parts();
        let login = AuthenticatedPlayer::from_request_parts(&mut parts, state).await?;
        let key = idempotency_key(&parts.headers)?;
        let mut hash = Sha256::new();
        hash.update(format!("{} {}\n", parts.method, parts.uri.path()));
        let bytes = read_json_bytes(Request::from_parts(parts, body), state).await?;
        hash.update(&bytes);
        let request_hash = hash.finalize().into();
        let once = key.map(|key| IdempotentRequest {
            player: login.player,
            key,
            request_hash,
        });
        Ok(Self {
            body: parse_json(&bytes)?,
            once,
        })
    }
}

fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(header) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let detail = format!("have 1 to {HEADER_TEXT_LENGTH_MAX} visible ASCII characters");
    let complaint = || ApiError::invalid(vec![field("/Idempotency-Key", detail)]);
    header_text(header.as_bytes())
        .map(Some)
        .ok_or_else(complaint)
}

/// A header's text when it is short and has visible ASCII characters only.
pub(crate) fn header_text(bytes: &[u8]) -> Option<String> {
    let short = (1..=HEADER_TEXT_LENGTH_MAX).contains(&bytes.len());
    let visible = short && bytes.iter().all(u8::is_ascii_graphic);
    visible.then(|| bytes.iter().copied().map(char::from).collect())
}

async fn read_json_bytes<S>(request: Request, state: &S) -> ApiResult<Bytes>
where
    S: Send + Sync,
    Http: FromRef<S>,
{
    if !is_json(request.headers()) {
        return Err(ApiError::new(Code::REQUEST_UNSUPPORTED_MEDIA_TYPE));
    }
    let reading = Bytes::from_request(request, state);
    match tokio::time::timeout(Http::from_ref(state).body_read_timeout(), reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ApiError::new(Code::REQUEST_TOO_LARGE))
        }
        Ok(Err(_)) => Err(ApiError::new(Code::REQUEST_MALFORMED)),
        Err(_) => Err(ApiError::new(Code::REQUEST_TIMEOUT)),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|header| header.to_str().ok());
    let essence = media_type.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    // serde would read an array as the fields in their order, which nobody was promised.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::invalid(vec![field("", "be an object")]));
    }
    match parse_json_as_it_is(bytes) {
        Ok(value) => Ok(value),
        // Some programs write every number with a point: 8.0 for 8.
        Err(error) => match with_integers(bytes) {
            Some(bytes) => parse_json_as_it_is(&bytes),
            None => Err(error),
        },
    }
}

fn parse_json_as_it_is<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        json_error(&error.into_inner(), pointer)
    })?;
    reader
        .end()
        .map_err(|error| json_error(&error, String::new()))?;
    refuse_nul(bytes)?;
    Ok(value)
}

/// Finds a NUL in any text, which PostgreSQL cannot keep. One can only be there as an escape.
fn refuse_nul(bytes: &[u8]) -> ApiResult<()> {
    if !bytes.windows(NUL_ESCAPE.len()).any(|it| it == NUL_ESCAPE) {
        return Ok(());
    }
    let value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let mut complaints = Vec::new();
    complain_of_nul(&value, &mut String::new(), &mut complaints);
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(complaints))
    }
}

/// `serde_json` reads no deeper than 128 levels, so neither does this.
fn complain_of_nul(value: &Value, pointer: &mut String, complaints: &mut Vec<FieldError>) {
    let length = pointer.len();
    let mut inside = |name: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(&escape(name));
        complain_of_nul(value, pointer, complaints);
        pointer.truncate(length);
    };
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                inside(&index.to_string(), value);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                inside(name, value);
            }
        }
        Value::String(text) if text.contains('\0') => {
            complaints.push(field(pointer.clone(), NO_NUL));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// This JSON with every number that has a point but no fraction written as an integer; none when
/// there is no such number in it, or it is no JSON.
fn with_integers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut value = serde_json::from_slice(bytes).ok()?;
    if !write_integers(&mut value) {
        return None;
    }
    serde_json::to_vec(&value).ok()
}

/// True when there was something to write.
fn write_integers(value: &mut Value) -> bool {
    // All of them, so no `any`, which ends with the first.
    let or = |differs: bool, value: &mut Value| write_integers(value) || differs;
    match value {
        Value::Number(number) if number.is_f64() => {
            let integer = number.as_f64().and_then(integer_of);
            if let Some(integer) = integer {
                *number = integer.into();
            }
            integer.is_some()
        }
        Value::Array(values) => values.iter_mut().fold(false, or),
        Value::Object(fields) => fields.values_mut().fold(false, or),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn json_error(error: &serde_json::Error, pointer: String) -> ApiError {
    if error.is_data() {
        let text = error.to_string();
        // The position in the bytes says less than the pointer, and types of ours say nothing.
        let text = text.split(" at line ").next().unwrap_or_default();
        let text = text.split("struct ").next().unwrap_or_default().trim_end();
        return ApiError::invalid(vec![field(pointer, format!("be readable: {text}"))]);
    }
    let place = |number: usize| number.to_string();
    ApiError::new(Code::REQUEST_MALFORMED)
        .detail("line", place(error.line()))
        .detail("column", place(error.column()))
}

/// The JSON pointer (RFC 6901) of a path.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", escape(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use gameserver_contract::session::CreateSession;
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> ApiResult<CreateSession> {
        parse_json(text.as_bytes())
    }

    #[test]
    fn a_header_text_is_short_and_visible() {
        assert_eq!(header_text(b"abc-1"), Some("abc-1".to_owned()));
        for bad in [&b""[..], b"a b", b"a\n", &[0xff], &[b'x'; 65]] {
            assert_eq!(header_text(bad), None);
        }
    }

    #[test]
    fn a_nul_is_found_wherever_it_stands() {
        let pointers = |text: &str| {
            let error = refuse_nul(text.as_bytes()).err();
            error.map(|error| format!("{error:?}"))
        };
        let found = pointers(r#"{"a": [1, {"b/c": "x\u0000"}]}"#).unwrap();
        assert!(found.contains("/a/1/b~1c"), "{found}");
        assert_eq!(pointers(r#"{"a": "\\u0000"}"#), None);
    }

    #[test]
    fn a_number_without_a_fraction_is_an_integer_however_it_is_written() {
        let text = |players, delay| {
            format!(
                r#"{{"game":"arena","players_max":{players},"spectators":{{"delay_s":{delay}}}}}"#
            )
        };
        let integers = parse(&text("8", "30")).unwrap();
        assert_eq!(integers.players_max, Some(8));
        for (players, delay) in [("8.0", "30.0"), ("8", "3e1"), ("8.00", "30")] {
            assert_eq!(parse(&text(players, delay)).unwrap(), integers);
        }
        for wrong in ["8.5", "-8.0", "1e300", "\"8.0\""] {
            assert!(parse(&text(wrong, "30.0")).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
