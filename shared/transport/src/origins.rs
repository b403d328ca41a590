//! Which web pages may connect. Programs that are no browser name no page, and could name any, so
//! this keeps strange pages out and nobody else.

use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::http::header::ORIGIN;
use url::Url;

/// The pages that may connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// All: a connection means nothing until its ticket was verified, and no cookie is ever read.
    #[default]
    Any,
    /// Pages of these origins, written as browsers do: `https://play.example`, with the port when
    /// it is not the scheme's own.
    These(Vec<String>),
}

/// A text that no browser would send as an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not how browsers write an origin: http(s)://host, all small letters, without a path, \
     with :port only when it is not 80 or 443"
)]
pub struct InvalidOrigin(pub String);

impl Origins {
    /// Pages of these origins; all pages when none is listed.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] for one that could never match.
    pub fn of(list: &[String]) -> Result<Self, InvalidOrigin> {
        if let Some(other) = list.iter().find(|each| !is_origin(each)) {
            return Err(InvalidOrigin(other.clone()));
        }
        Ok(if list.is_empty() {
            Self::Any
        } else {
            Self::These(list.to_vec())
        })
    }

    /// Decides by the headers of a request.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let (Self::These(allowed), Some(origin)) = (self, headers.get(ORIGIN)) else {
            return true;
        };
        allowed
            .iter()
            .any(|each| each.as_bytes() == origin.as_bytes())
    }
}

fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::http::HeaderValue;

    use super::*;

    fn admits(origins: &Origins, origin: Option<&'static str>) -> bool {
        let origin = origin.map(HeaderValue::from_static);
        origins.admit(&origin.into_iter().map(|value| (ORIGIN, value)).collect())
    }

    #[test]
    fn only_pages_of_the_allowed_origins_may_connect() {
        let ours = Origins::These(vec!["https://play.example".to_owned()]);
        assert!(admits(&ours, Some("https://play.example")));
        assert!(admits(&ours, None));
        for other in [
            "https://play.example:444",
            "http://play.example",
            "null",
            "",
        ] {
            assert!(!admits(&ours, Some(other)), "{other} was admitted");
            assert!(admits(&Origins::Any, Some(other)));
        }
    }

    #[test]
    fn an_origin_that_could_never_match_is_an_error() {
        assert_eq!(Origins::of(&[]), Ok(Origins::Any));
        for good in [
            "https://play.example",
            "http://localhost:5173",
            "http://[::1]:8080",
        ] {
            let list = [good.to_owned()];
            assert_eq!(Origins::of(&list), Ok(Origins::These(list.to_vec())));
        }
        for bad in [
            "",
            "*",
            "null",
            "play.example",
            "https://play.example/",
            "https://play.example/game",
            "https://play.example:443",
            "https://Play.example",
            "https://user@play.example",
            "file:///home",
        ] {
            let list = ["https://play.example".to_owned(), bad.to_owned()];
            assert_eq!(Origins::of(&list), Err(InvalidOrigin(bad.to_owned())));
        }
    }
}
