//! What a host is asked: its configuration, the matches to host, and the results that come back.

use std::time::Duration;

use gameserver_contract::ids::{GameId, MatchId, SessionId};
use gameserver_contract::result::MatchResult;
use gameserver_control::result_signature::ResultKey;
use gameserver_shared::flow::MatchSettings;

use super::headroom::BudgetMax;
use crate::match_log::LogFolder;

/// How long a match that nobody is in is kept for somebody to come: as long as it takes to send a
/// friend the join code, and then some.
pub const EMPTY_MATCH_LIFETIME: Duration = Duration::from_mins(1);

/// What a host needs to know.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Worker threads.
    pub workers: usize,
    /// Matches at once.
    pub matches_max: usize,
    /// Players at once, in all matches.
    pub players_max: usize,
    /// How long a seat is held for a player whose connection broke.
    pub resume_window: Duration,
    /// A match that nobody has been in for so long is ended: see [`EMPTY_MATCH_LIFETIME`].
    pub empty_match_lifetime: Duration,
    /// Where matches are recorded; nowhere when absent.
    pub logs: Option<LogFolder>,
    /// Nobody new is admitted above this load.
    pub budget_max: BudgetMax,
}

/// A match to be hosted.
#[derive(Debug, Clone)]
pub struct MatchSpec {
    /// The match.
    pub id: MatchId,
    /// Its session.
    pub session: SessionId,
    /// Its game.
    pub game: GameId,
    /// What it is to be.
    pub settings: MatchSettings,
    /// Signs its result.
    pub result_key: ResultKey,
    /// The shortest delay of its spectators, cut to [`super::DELAY_MAX`]: frames are kept for so
    /// long from the start, so that no spectator has to wait for the first one.
    pub watch_delay: Duration,
}

/// A result on its way to web-api.
#[derive(Debug, Clone)]
pub struct FinishedMatch {
    /// The result.
    pub result: MatchResult,
    /// Signs it.
    pub result_key: ResultKey,
}

/// Why the host did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The game is not hosted here.
    #[error("host a game that this instance does not have")]
    UnknownGame,
    /// As many matches as configured are hosted.
    #[error("host more matches than allowed")]
    Full,
    /// The worker's queue is full.
    #[error("reach a worker that is overloaded")]
    Busy,
    /// The instance takes no new matches.
    #[error("start a match while draining")]
    Draining,
}
