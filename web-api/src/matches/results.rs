//! Results: signed by the instance with the match's own key, checked against the session, stored
//! once.

use std::collections::HashSet;

use gameserver_contract::ids::MatchId;
use gameserver_contract::result::{MatchResult, STATS_MAX};
use gameserver_control::{ResultReport, ResultResponse, result_signature};

use crate::config::{RESULT_BYTES_MAX, RESULT_PLAYERS_MAX};
use crate::kit::db::DbError;
use crate::matches::Matches;
use crate::matches::store::ResultOutcome;
use crate::sessions::store::records::SessionRow;

/// Longest name of a game's own number, in bytes.
const STAT_NAME_LENGTH_MAX: usize = 64;

/// Why a result is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResultError {
    /// Too large, or not the layout of a result.
    #[error("read the result")]
    Malformed,
    /// No session has this match.
    #[error("find the match of the result")]
    UnknownMatch,
    /// Not signed with this match's key.
    #[error("accept the result's signature")]
    BadSignature,
    /// It says something that cannot be true of this match.
    #[error("accept the result: {0}")]
    Implausible(&'static str),
    /// The database did not answer; reporting again is right.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Matches {
    /// Stores a result, or tells that it was stored before.
    pub(crate) async fn report_result(
        &self,
        report: ResultReport,
    ) -> Result<ResultResponse, ResultError> {
        let outcome = self.check_and_store(&report).await;
        metrics::counter!("gs_results_total", "outcome" => label(&outcome)).increment(1);
        match outcome? {
            ResultOutcome::Stored => Ok(ResultResponse { stored: true }),
            ResultOutcome::Duplicate => Ok(ResultResponse { stored: false }),
            ResultOutcome::UnknownMatch => Err(ResultError::UnknownMatch),
        }
    }

    async fn check_and_store(&self, report: &ResultReport) -> Result<ResultOutcome, ResultError> {
        if report.result.len() > RESULT_BYTES_MAX {
            return Err(ResultError::Malformed);
        }
        let match_id: MatchId = report
            .match_id
            .parse()
            .map_err(|_| ResultError::Malformed)?;
        let now = self.kit.now();
        let row = self.sessions.of_match(match_id).await?;
        let row = row.ok_or(ResultError::UnknownMatch)?;
        if !result_signature::verify(&row.result_key, &report.result, &report.signature) {
            return Err(ResultError::BadSignature);
        }
        let result: MatchResult =
            rmp_serde::from_slice(&report.result).map_err(|_| ResultError::Malformed)?;
        check(&result, match_id, &row).map_err(ResultError::Implausible)?;
        let outcome = self.store.store_result(&result, now).await?;
        self.sessions.announce(&[row.session.id]).await;
        Ok(outcome)
    }
}

fn label(outcome: &Result<ResultOutcome, ResultError>) -> &'static str {
    match outcome {
        Ok(ResultOutcome::Stored) => "stored",
        Ok(ResultOutcome::Duplicate) => "duplicate",
        Ok(ResultOutcome::UnknownMatch) | Err(ResultError::UnknownMatch) => "unknown_match",
        Err(ResultError::BadSignature) => "bad_signature",
        Err(ResultError::Malformed | ResultError::Implausible(_)) => "refused",
        Err(ResultError::Db(_)) => "error",
    }
}

fn check(result: &MatchResult, match_id: MatchId, row: &SessionRow) -> Result<(), &'static str> {
    let session = &row.session;
    let same = result.match_id == match_id
        && result.session == session.id
        && result.game == session.game
        && result.mode == session.mode;
    if !same {
        return Err("it is of another match");
    }
    if result.ended_at_ms < result.started_at_ms || result.started_at_ms < 0 {
        return Err("it ended before it began");
    }
    if result.players.len() > RESULT_PLAYERS_MAX {
        return Err("it has too many players");
    }
    let mut seen = HashSet::new();
    for player in &result.players {
        if !seen.insert(player.player) {
            return Err("a player stands twice");
        }
        if player.seat.0 >= session.players_max || player.placement == 0 {
            return Err("a seat or a placement does not exist");
        }
        let bad_name = player
            .stats
            .keys()
            .any(|name| name.len() > STAT_NAME_LENGTH_MAX || name.contains('\0'));
        if player.stats.len() > STATS_MAX || bad_name {
            return Err("a player's numbers are too many, or their names too long or not text");
        }
    }
    Ok(())
}
