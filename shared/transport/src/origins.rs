//! Which web pages may connect. Programs that are no browser name no page, and could name any, so
//! this keeps strange pages out and nobody else.

use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::http::header::ORIGIN;

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

impl Origins {
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
}
