//! Version tags: what `ETag` says, and what `If-Match` and `If-None-Match` ask for.
//!
//! Proxies that compress change tags on their way: nginx makes them weak (`W/"v1"`), Apache adds
//! what it did (`"v1-gzip"`). The resource is the same, so both are read as the tag that was sent.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use crate::kit::http::code::Code;
use crate::kit::http::problem::{ApiError, ApiResult};

/// What proxies add to a tag within its quotes.
const PROXY_SUFFIXES: [&str; 4] = ["-gzip", "-br", "-zstd", "-deflate"];
/// Tags that are read of a header; who knows more versions than that does not need them.
const TAGS_MAX: usize = 32;

/// The versions that a change was made from: the `ETag` that a client read before, a list of them,
/// or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Whatever version there is.
    Any,
    /// One of these; tags that are none of ours are left out.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// True when this version is among them.
    pub(crate) fn includes(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        if !parts.headers.contains_key(header::IF_MATCH) {
            return Err(ApiError::new(Code::PRECONDITION_REQUIRED));
        }
        let tags: Vec<&str> = tags(&parts.headers, &header::IF_MATCH).collect();
        if tags.contains(&"*") {
            return Ok(Self::Any);
        }
        let version = |tag: &&str| tag.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok();
        let whole: Vec<String> = tags.iter().map(|tag| without_suffix(tag)).collect();
        let versions = whole.iter().map(String::as_str);
        Ok(Self::Versions(
            versions.filter_map(|tag| version(&tag)).collect(),
        ))
    }
}

/// The `ETag` of a version, as [`IfMatch`] reads it.
pub(crate) fn version_tag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// True when the client has this version already.
pub(crate) fn if_none_match(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, &header::IF_NONE_MATCH).any(|known| known == "*" || without_suffix(known) == tag)
}

/// The tags of all lines of a header, without the mark of weak ones. None of ours has a comma.
fn tags<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .take(TAGS_MAX)
}

fn without_suffix(tag: &str) -> String {
    let inside = tag.strip_suffix('"').unwrap_or(tag);
    let plain = PROXY_SUFFIXES
        .iter()
        .find_map(|suffix| inside.strip_suffix(suffix));
    plain.map_or_else(|| tag.to_owned(), |plain| format!("{plain}\""))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn if_match(lines: &[&str]) -> IfMatch {
        let mut request = Request::new(());
        for line in lines {
            let value = line.parse().unwrap();
            request.headers_mut().append(header::IF_MATCH, value);
        }
        let (mut parts, ()) = request.into_parts();
        IfMatch::from_request_parts(&mut parts, &()).await.unwrap()
    }

    #[tokio::test]
    async fn every_form_of_a_version_is_read() {
        let versions = |list: &[i64]| IfMatch::Versions(list.to_vec());
        assert_eq!(if_match(&["\"v1\""]).await, versions(&[1]));
        assert_eq!(if_match(&["W/\"v1\""]).await, versions(&[1]));
        assert_eq!(if_match(&["\"v1-gzip\""]).await, versions(&[1]));
        assert_eq!(
            if_match(&["\"x\", W/\"v2\" ,", "\"v3\""]).await,
            versions(&[2, 3])
        );
        assert_eq!(if_match(&["*"]).await, IfMatch::Any);
        assert_eq!(if_match(&["garbage"]).await, versions(&[]));
    }

    #[test]
    fn a_known_version_is_found_in_a_list() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, "\"v1\", W/\"v7\"".parse().unwrap());
        headers.append(header::IF_NONE_MATCH, "\"v9-gzip\"".parse().unwrap());
        assert!(if_none_match(&headers, &version_tag(7)));
        assert!(if_none_match(&headers, &version_tag(9)));
        assert!(!if_none_match(&headers, &version_tag(2)));
        headers.insert(header::IF_NONE_MATCH, "*".parse().unwrap());
        assert!(if_none_match(&headers, &version_tag(2)));
    }
}
