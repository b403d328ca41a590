//! The body of every error answer of the REST API (RFC 9457, `application/problem+json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An error as a client sees it. `code` is stable and meant for programs, `title` for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable name from the closed registry in `docs/protocol.md`, for example `session.full`.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// One sentence for people.
    pub title: String,
    /// Facts that help to act on it, for example `{"players_max": "16"}`.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
    /// The request's id, as in the `X-Request-Id` header and in the server's log.
    pub request_id: String,
    /// What was wrong with each field of the request.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// What was wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer to the field, for example `/players_max`.
    pub pointer: String,
    /// What is wrong, as a fragment that fits "must …".
    pub detail: String,
}
