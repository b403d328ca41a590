//! The result of a match: written by the instance, stored once by web-api.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{GameId, MatchId, PlayerId, Seat, SessionId};

/// Most named numbers a game may report for one player.
pub const STATS_MAX: usize = 32;

/// What an instance reports when a match is over. Two reports with the same match id are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchResult {
    /// The match.
    pub match_id: MatchId,
    /// Its session.
    pub session: SessionId,
    /// The game.
    pub game: GameId,
    /// The game's mode.
    pub mode: String,
    /// How the match ended.
    pub outcome: MatchOutcome,
    /// Ticks simulated.
    pub ticks: u64,
    /// When play began, milliseconds since 1970.
    pub started_at_ms: i64,
    /// When play ended, milliseconds since 1970.
    pub ended_at_ms: i64,
    /// Everybody who ever held a seat, best placement first.
    pub players: Vec<PlayerResult>,
}

/// How a match ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MatchOutcome {
    /// The game's rules ended it.
    Finished,
    /// It was ended from outside (host, operator, drain) or nobody was left. It does not count.
    Aborted,
}

impl MatchOutcome {
    /// The outcome's name in JSON, in the database and in metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Aborted => "aborted",
        }
    }
}

/// What one player did in a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlayerResult {
    /// Who.
    pub player: PlayerId,
    /// Where they sat.
    pub seat: Seat,
    /// Rank at the end, 1 is best; equals share a rank.
    pub placement: u16,
    /// The game's score.
    pub score: i64,
    /// The game's own numbers, for example `kills`: at most [`STATS_MAX`].
    pub stats: BTreeMap<String, i64>,
    /// False when they left before the end.
    pub stayed: bool,
}
