//! Lobby records as the REST and gRPC faces show them, and the states a session goes through.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{GameId, MatchId, PlayerId, Seat, SessionId};
use crate::spectator::{SpectatorView, SpectatorsPolicy};

/// Where a session is in its life. `created → filling → starting → running → ending → ended`,
/// with the side states `draining` and `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// The record exists; no instance hosts its match yet.
    Created,
    /// An instance hosts the match and waits for enough players.
    Filling,
    /// Enough players are seated; the match counts down.
    Starting,
    /// The match is being played.
    Running,
    /// The instance asked its players to finish; nobody new may join.
    Draining,
    /// The match is over; its result is on the way.
    Ending,
    /// The result is stored. Final.
    Ended,
    /// The instance or the match was lost. Final.
    Failed,
}

impl SessionState {
    /// Every state, in the order of a session's life.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Filling,
        Self::Starting,
        Self::Running,
        Self::Draining,
        Self::Ending,
        Self::Ended,
        Self::Failed,
    ];

    /// True for the states that nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }

    /// True while players may take seats.
    #[must_use]
    pub fn is_joinable(self) -> bool {
        matches!(self, Self::Filling | Self::Starting | Self::Running)
    }

    /// True when a session in this state may become `next`. Staying is not a transition.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        use SessionState::{Created, Draining, Ended, Ending, Failed, Filling, Running, Starting};
        match next {
            Created => false,
            Filling => matches!(self, Created | Starting),
            Starting => self == Filling,
            Running => matches!(self, Filling | Starting),
            Draining => matches!(self, Filling | Starting | Running),
            Ending => matches!(self, Created | Filling | Starting | Running | Draining),
            Ended => self == Ending,
            Failed => !self.is_final(),
        }
    }

    /// The state's name in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Filling => "filling",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Ending => "ending",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Who finds a session in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionVisibility {
    /// Listed; anybody may join.
    #[default]
    Public,
    /// Not listed; joining needs the join code.
    Private,
}

/// What a connection may do in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Plays: takes a seat and sends inputs.
    #[default]
    Player,
    /// Watches: takes no seat and sends no input.
    Spectator,
}

impl Role {
    /// The role's name in JSON and in metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Spectator => "spectator",
        }
    }
}

/// A lobby record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// The game it plays.
    pub game: GameId,
    /// The game's mode.
    pub mode: String,
    /// Name for people.
    pub name: String,
    /// Region of the instance that hosts it.
    pub region: String,
    /// Where the session is in its life.
    pub state: SessionState,
    /// Who finds it in the list.
    pub visibility: SessionVisibility,
    /// Labels to search by.
    pub tags: Vec<String>,
    /// Seats that are taken or reserved.
    pub players: u16,
    /// Seats in all.
    pub players_max: u16,
    /// People who watch.
    pub spectators: u32,
    /// What people who watch may see.
    #[serde(default)]
    pub spectators_policy: SpectatorsPolicy,
    /// Who opened it.
    pub host_player_id: PlayerId,
    /// The match that runs it.
    pub match_id: MatchId,
    /// Code that a private session's players need; shown to its host only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub join_code: Option<String>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A label in the OpenAPI document.
#[cfg(feature = "openapi")]
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9._-]{1,32}$")]
#[expect(dead_code, reason = "it stands for its schema only")]
struct Label(String);

/// Body of `POST /sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(example = json!({ "game": "arena" }))
)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The game to play; `GET /games` has them.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z][a-z0-9-]{0,31}$"))]
    pub game: String,
    /// The game's mode; its first mode when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
    pub mode: Option<String>,
    /// Name for people, 1–64 characters; made from the game's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
    pub name: Option<String>,
    /// Wanted region; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9._-]{1,32}$"))]
    pub region: Option<String>,
    /// Seats, within what the mode allows; the mode's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub players_max: Option<u16>,
    /// Who finds it in the list.
    #[serde(default)]
    pub visibility: SessionVisibility,
    /// Labels to search by: at most 8 of 1 to 32 characters `a-z`, `0-9`, `-`, `_`, `.` each.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 8, value_type = Vec<Label>))]
    pub tags: Vec<String>,
    /// What people who watch may see; everything, at once, when absent.
    #[serde(default)]
    pub spectators: SpectatorsPolicy,
}

/// Body of `POST /sessions/{id}/join`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(example = json!({})))]
#[serde(deny_unknown_fields)]
pub struct JoinSession {
    /// Play or watch.
    #[serde(default)]
    pub role: Role,
    /// The code of a private session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_code: Option<String>,
    /// Spectators: how much to see; everything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<SpectatorView>,
    /// Spectators with the view `team`: whose eyes. In modes without teams, a seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<u16>,
    /// Spectators: seconds to be behind the players, 0–300; the session's least when absent or
    /// shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 300))]
    pub delay_s: Option<u16>,
}

/// Answer to a join: the right to connect and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinResponse {
    /// The join ticket, to be sent as it is in the Hello.
    pub ticket: String,
    /// The reserved seat; absent for spectators.
    pub seat: Option<Seat>,
    /// Play or watch.
    pub role: Role,
    /// What a spectator sees; absent for players.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<SpectatorView>,
    /// Whose eyes a spectator sees with, in the view `team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<u16>,
    /// Seconds that a spectator is behind the players; absent for players.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<u16>,
    /// Ways to connect, in the order to try.
    pub transports: Vec<TransportOffer>,
    /// The ticket is refused after this time; the reserved seat returns then.
    pub expires_at: DateTime<Utc>,
}

/// One way to reach an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransportOffer {
    /// Which transport.
    pub kind: TransportKind,
    /// Address, for example `quic://127.0.0.1:7777` or `ws://127.0.0.1:7777`.
    pub url: String,
    /// SHA-256 of the server certificate in lower-case hex, when it is self-signed and must be
    /// recognised by its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
}

/// A transport that the game connection runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// QUIC with datagrams (ALPN `gs/1`).
    Quic,
    /// WebTransport, for browsers.
    WebTransport,
    /// WebSocket, where UDP is blocked.
    WebSocket,
}

impl TransportKind {
    /// The transport's name in JSON and in metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
            Self::WebSocket => "websocket",
        }
    }
}

impl std::fmt::Display for TransportKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The entries of this page.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_walks_from_created_to_ended() {
        use SessionState::{Created, Ended, Ending, Filling, Running, Starting};
        let life = [Created, Filling, Starting, Running, Ending, Ended];
        assert!(life.windows(2).all(|pair| pair[0].can_become(pair[1])));
    }

    #[test]
    fn nothing_follows_a_final_state_and_nothing_skips_back() {
        for state in SessionState::ALL {
            assert!(!state.can_become(state), "{state:?} became itself");
            assert!(!state.can_become(SessionState::Created));
            assert!(!SessionState::Ended.can_become(state));
            assert!(!SessionState::Failed.can_become(state));
        }
        assert!(!SessionState::Running.can_become(SessionState::Filling));
        assert!(!SessionState::Running.can_become(SessionState::Ended));
    }

    #[test]
    fn state_names_are_the_same_in_json_and_in_the_database() {
        for state in SessionState::ALL {
            let json = serde_json::to_value(state).unwrap();
            assert_eq!(json, state.as_str());
            assert_eq!(SessionState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn an_unknown_field_in_a_request_is_an_error() {
        let body = r#"{"game": "arena", "player_max": 4}"#;
        let error = serde_json::from_str::<CreateSession>(body).unwrap_err();
        assert!(error.to_string().contains("player_max"));
    }
}
