//! Results: stored once per match, with each player's history and running totals.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use gameserver_contract::account::{GameStats, MatchRecord};
use gameserver_contract::ids::{MatchId, PlayerId, Seat, SessionId};
use gameserver_contract::result::{MatchOutcome, MatchResult, PlayerResult};
use gameserver_contract::session::SessionState;
use sqlx_macros::FromRow;
use uuid::Uuid;

use crate::kit::cursor::{After, before};
use crate::kit::db::backend::Tx;
use crate::kit::db::sql::{Sql, Value, corrupt, game, narrow, time};
use crate::kit::db::{Db, DbError};
use crate::sessions::store::records::{set_state, state};

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultOutcome {
    /// It is stored now.
    Stored,
    /// This match's result was stored before; nothing changed.
    Duplicate,
    /// No session has this match.
    UnknownMatch,
}

/// A sum that stops at the ends of a 64-bit integer: a game that reports huge numbers must not
/// make its results impossible to store.
macro_rules! saturating_sum {
    ($table:literal, $column:literal) => {
        concat!(
            $column,
            " = CASE WHEN excluded.",
            $column,
            " > 0 AND ",
            $table,
            ".",
            $column,
            " > 9223372036854775807 - excluded.",
            $column,
            " THEN 9223372036854775807 ",
            "WHEN excluded.",
            $column,
            " < 0 AND ",
            $table,
            ".",
            $column,
            " < -9223372036854775807 - excluded.",
            $column,
            " THEN -9223372036854775807 ",
            "ELSE ",
            $table,
            ".",
            $column,
            " + excluded.",
            $column,
            " END"
        )
    };
}

const ADD_TO_TOTALS: &str = concat!(
    "ON CONFLICT (player_id, game) DO UPDATE SET \
     matches = player_totals.matches + 1, wins = player_totals.wins + excluded.wins, ",
    saturating_sum!("player_totals", "score")
);

const ADD_TO_STATS: &str = concat!(
    "ON CONFLICT (player_id, game, stat) DO UPDATE SET ",
    saturating_sum!("player_stat_totals", "total")
);

/// The tables of results, histories and totals.
#[derive(Debug, Clone)]
pub(crate) struct MatchesStore(pub(crate) Db);

impl MatchesStore {
    /// Stores a result, each player's history and totals and the session's end in one transaction,
    /// once per match. Aborted matches enter the history but not the totals. A session that is
    /// final already keeps its state.
    pub(crate) async fn store_result(
        &self,
        result: &MatchResult,
        now: DateTime<Utc>,
    ) -> Result<ResultOutcome, DbError> {
        let result = result.clone();
        self.0
            .background_transaction(move |tx| Box::pin(store_once(tx, result, now)))
            .await
    }

    /// A player's totals, one entry per game.
    pub(crate) async fn player_stats(&self, player: PlayerId) -> Result<Vec<GameStats>, DbError> {
        let sql = Sql::new(
            "SELECT t.game, t.matches, t.wins, t.score, s.stat, s.total \
             FROM player_totals AS t LEFT JOIN player_stat_totals AS s \
             ON s.player_id = t.player_id AND s.game = t.game \
             WHERE t.player_id = $1 ORDER BY t.game, s.stat",
        );
        gather(self.0.all(sql.bind(player)).await?)
    }

    /// Newest end first, at most `limit`.
    pub(crate) async fn player_matches(
        &self,
        player: PlayerId,
        after: Option<After>,
        limit: u16,
    ) -> Result<Vec<MatchRecord>, DbError> {
        let sql = Sql::new(
            "SELECT m.match_id, m.session_id, m.game, m.mode, m.outcome, m.started_at_ms, \
             m.ended_at_ms, p.player_id, p.seat, p.placement, p.score, p.stats, p.stayed \
             FROM match_players AS p JOIN match_results AS m ON m.match_id = p.match_id \
             WHERE p.player_id = $1 AND (p.ended_at_ms, p.match_id) < ($2, $3) \
             ORDER BY p.ended_at_ms DESC, p.match_id DESC LIMIT $4",
        );
        let (before_ms, before_id) = before(after);
        let sql = sql.bind(player).bind(before_ms).bind(before_id).bind(limit);
        let rows: Vec<StoredRecord> = self.0.all(sql).await?;
        rows.into_iter().map(MatchRecord::try_from).collect()
    }
}

async fn store_once(
    tx: &mut Tx,
    mut result: MatchResult,
    now: DateTime<Utc>,
) -> Result<ResultOutcome, DbError> {
    let lock = Sql::locking("SELECT id, state FROM sessions WHERE match_id = $1");
    let row: Option<(Uuid, String)> = tx.optional(lock.bind(result.match_id)).await?;
    let Some((session, text)) = row else {
        return Ok(ResultOutcome::UnknownMatch);
    };
    let session = SessionId(session);
    if tx.execute(insert_result(&result, session, now)).await? == 0 {
        return Ok(ResultOutcome::Duplicate);
    }
    // A player has one line per match: the first, which is the best placement. Everybody adds to
    // totals in the order of ids, so that two results cannot wait for each other.
    let mut seen = BTreeSet::new();
    result.players.retain(|player| seen.insert(player.player));
    result.players.sort_by_key(|player| player.player);
    insert_players(tx, &result).await?;
    if result.outcome == MatchOutcome::Finished {
        add_to_totals(tx, &result).await?;
    }
    end_session(tx, session, state(text)?, now).await?;
    Ok(ResultOutcome::Stored)
}

fn insert_result(result: &MatchResult, session: SessionId, now: DateTime<Utc>) -> Sql {
    let sql = Sql::new(
        "INSERT INTO match_results (match_id, session_id, game, mode, outcome, ticks, \
         started_at_ms, ended_at_ms, stored_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (match_id) DO NOTHING",
    );
    sql.bind(result.match_id)
        .bind(session)
        .bind(&result.game)
        .bind(result.mode.as_str())
        .bind(result.outcome.as_str())
        .bind(i64::try_from(result.ticks).unwrap_or(i64::MAX))
        .bind(result.started_at_ms)
        .bind(result.ended_at_ms)
        .bind(now)
}

async fn insert_players(tx: &mut Tx, result: &MatchResult) -> Result<(), DbError> {
    let rows = result.players.iter().map(|player| {
        [
            Value::from(result.match_id),
            player.player.into(),
            player.seat.into(),
            player.placement.into(),
            player.score.into(),
            serde_json::json!(player.stats).to_string().into(),
            player.stayed.into(),
            result.ended_at_ms.into(),
        ]
    });
    let head = "INSERT INTO match_players \
                (match_id, player_id, seat, placement, score, stats, stayed, ended_at_ms) VALUES";
    tx.execute_each(Sql::with_rows(head, rows.collect(), ""))
        .await
}

async fn add_to_totals(tx: &mut Tx, result: &MatchResult) -> Result<(), DbError> {
    let totals = result.players.iter().map(|player| {
        let wins = i64::from(player.placement == 1);
        let game = Value::from(&result.game);
        [
            player.player.into(),
            game,
            1_i64.into(),
            wins.into(),
            player.score.into(),
        ]
    });
    let head = "INSERT INTO player_totals (player_id, game, matches, wins, score) VALUES";
    tx.execute_each(Sql::with_rows(head, totals.collect(), ADD_TO_TOTALS))
        .await?;

    let stats = result.players.iter().flat_map(|player| {
        player.stats.iter().map(|(stat, number)| {
            let game = Value::from(&result.game);
            [
                player.player.into(),
                game,
                stat.as_str().into(),
                (*number).into(),
            ]
        })
    });
    let head = "INSERT INTO player_stat_totals (player_id, game, stat, total) VALUES";
    tx.execute_each(Sql::with_rows(head, stats.collect(), ADD_TO_STATS))
        .await
}

/// Walks a live session to its end, through `ending` where it was not there yet.
async fn end_session(
    tx: &mut Tx,
    session: SessionId,
    state: SessionState,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if state == SessionState::Ending || state.can_become(SessionState::Ending) {
        set_state(tx, session, SessionState::Ended, now).await?;
    }
    Ok(())
}

#[derive(Debug, FromRow)]
struct StoredTotal {
    game: String,
    matches: i64,
    wins: i64,
    score: i64,
    stat: Option<String>,
    total: Option<i64>,
}

/// Makes one entry of the rows of one game, which follow each other.
fn gather(rows: Vec<StoredTotal>) -> Result<Vec<GameStats>, DbError> {
    let mut games: Vec<GameStats> = Vec::new();
    for row in rows {
        if games
            .last()
            .is_none_or(|last| last.game.as_str() != row.game)
        {
            games.push(GameStats {
                game: game("player_totals.game", row.game)?,
                matches: narrow("player_totals.matches", row.matches)?,
                wins: narrow("player_totals.wins", row.wins)?,
                score: row.score,
                totals: BTreeMap::new(),
            });
        }
        if let (Some(last), Some(stat), Some(total)) = (games.last_mut(), row.stat, row.total) {
            last.totals.insert(stat, total.to_string());
        }
    }
    Ok(games)
}

#[derive(Debug, FromRow)]
struct StoredRecord {
    match_id: Uuid,
    session_id: Uuid,
    game: String,
    mode: String,
    outcome: String,
    started_at_ms: i64,
    ended_at_ms: i64,
    player_id: Uuid,
    seat: i64,
    placement: i64,
    score: i64,
    stats: String,
    stayed: bool,
}

impl TryFrom<StoredRecord> for MatchRecord {
    type Error = DbError;

    fn try_from(row: StoredRecord) -> Result<Self, DbError> {
        let result = PlayerResult {
            player: PlayerId(row.player_id),
            seat: Seat(narrow("match_players.seat", row.seat)?),
            placement: narrow("match_players.placement", row.placement)?,
            score: row.score,
            stats: serde_json::from_str(&row.stats)
                .map_err(|_| corrupt("match_players.stats", &row.stats))?,
            stayed: row.stayed,
        };
        Ok(Self {
            match_id: MatchId(row.match_id),
            session_id: SessionId(row.session_id),
            game: game("match_results.game", row.game)?,
            mode: row.mode,
            outcome: outcome(row.outcome)?,
            started_at: time("match_results.started_at_ms", row.started_at_ms)?,
            ended_at: time("match_results.ended_at_ms", row.ended_at_ms)?,
            result,
        })
    }
}

fn outcome(text: String) -> Result<MatchOutcome, DbError> {
    [MatchOutcome::Finished, MatchOutcome::Aborted]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
        .ok_or_else(|| corrupt("match_results.outcome", text))
}
