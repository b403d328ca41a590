//! Remembered answers: a POST that is sent twice with one `Idempotency-Key` is answered twice and
//! done once.
//!
//! A key is claimed, and its answer written, in the very transaction that does the work. Whoever
//! dies leaves both or neither.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{PlayerId, SessionId};
use sqlx_macros::FromRow;
use uuid::Uuid;

use crate::kit::db::backend::Tx;
use crate::kit::db::sql::{Sql, bytes32, narrow};
use crate::kit::db::{Db, DbError};

/// A key that a request claims in the transaction that does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    /// Keys of different players never meet.
    pub(crate) player: PlayerId,
    /// As the client sent it.
    pub(crate) key: String,
    /// SHA-256 of method, path and body: the same key with another request is an error.
    pub(crate) request_hash: [u8; 32],
    /// When the request came.
    pub(crate) now: DateTime<Utc>,
    /// Until when its answer is remembered.
    pub(crate) expires_at: DateTime<Utc>,
}

/// The answer to a POST, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedResponse {
    /// HTTP status.
    pub(crate) status: u16,
    /// The whole body.
    pub(crate) body: Vec<u8>,
    /// The `Location` header, if there was one.
    pub(crate) location: Option<String>,
}

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyRecord {
    /// Of the request that claimed the key.
    pub(crate) request_hash: [u8; 32],
    /// What it was answered.
    pub(crate) answer: RecordedResponse,
    /// The session that the request opened, while nobody has been told yet that its match runs.
    pub(crate) opening: Option<SessionId>,
}

impl Db {
    /// What this player's key stands for, unless that has expired.
    pub(crate) async fn idempotency_record(
        &self,
        player: PlayerId,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<IdempotencyRecord>, DbError> {
        let row: Option<StoredRecord> = self.optional(select(player, key, now)).await?;
        row.map(IdempotencyRecord::try_from).transpose()
    }
}

impl Db {
    /// Deletes keys that have ended; returns how many.
    pub(crate) async fn sweep_idempotency_records(
        &self,
        now: DateTime<Utc>,
    ) -> Result<u64, DbError> {
        let expired = "DELETE FROM remembered_answers WHERE expires_at_ms <= $1";
        self.sweep(expired, now).await
    }
}

/// What became of claiming a key.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is this transaction's, which must [`answer`] or [`give_back`].
    New,
    /// It stands for something already.
    Known(IdempotencyRecord),
}

/// Claims a key for a request that opens this session, or does anything else. Of two transactions
/// that claim one key the second waits for the end of the first. The claim of an opening that
/// failed before anybody was told of it passes on.
pub(crate) async fn claim(
    tx: &mut Tx,
    key: &IdempotencyKey,
    opening: Option<SessionId>,
) -> Result<Claim, DbError> {
    let void = Sql::new(
        "DELETE FROM remembered_answers WHERE player_id = $1 AND key = $2 \
         AND (expires_at_ms <= $3 OR opening_session_id IN (\
              SELECT id FROM sessions WHERE id = opening_session_id AND state = 'failed'))",
    );
    let void = void.bind(key.player).bind(key.key.as_str()).bind(key.now);
    tx.execute(void).await?;
    let insert = Sql::new(
        "INSERT INTO remembered_answers \
         (player_id, key, request_hash, status, body, expires_at_ms, opening_session_id) \
         VALUES ($1, $2, $3, 0, $4, $5, $6) ON CONFLICT (player_id, key) DO NOTHING",
    );
    let insert = insert
        .bind(key.player)
        .bind(key.key.as_str())
        .bind(&key.request_hash)
        .bind(Vec::<u8>::new())
        .bind(key.expires_at)
        .bind(opening);
    if tx.execute(insert).await? > 0 {
        return Ok(Claim::New);
    }
    let row = tx.optional(select(key.player, &key.key, key.now)).await?;
    // Whoever held it gave it back between the two statements: rare, and trying again is right.
    let row: StoredRecord = row.ok_or(DbError::Database(sqlx::Error::RowNotFound))?;
    IdempotencyRecord::try_from(row).map(Claim::Known)
}

/// Writes the answer of a claimed key.
pub(crate) async fn answer(
    tx: &mut Tx,
    key: &IdempotencyKey,
    answer: &RecordedResponse,
) -> Result<(), DbError> {
    let sql = Sql::new(
        "UPDATE remembered_answers SET status = $3, body = $4, location = $5 \
         WHERE player_id = $1 AND key = $2",
    );
    let sql = sql.bind(key.player).bind(key.key.as_str());
    let sql = sql.bind(answer.status).bind(answer.body.clone());
    tx.execute(sql.bind(answer.location.clone()))
        .await
        .map(drop)
}

/// Gives a claimed key back, because nothing was done.
pub(crate) async fn give_back(tx: &mut Tx, key: &IdempotencyKey) -> Result<(), DbError> {
    let sql = Sql::new("DELETE FROM remembered_answers WHERE player_id = $1 AND key = $2");
    let sql = sql.bind(key.player).bind(key.key.as_str());
    tx.execute(sql).await.map(drop)
}

/// Puts the final answer in the place of the one that waits for this session's match. The first
/// final answer stays, and is returned.
pub(crate) async fn finish_opening(
    tx: &mut Tx,
    key: &IdempotencyKey,
    session: SessionId,
    answer: RecordedResponse,
) -> Result<RecordedResponse, DbError> {
    let sql = Sql::new(
        "UPDATE remembered_answers \
         SET status = $4, body = $5, location = $6, opening_session_id = NULL \
         WHERE player_id = $1 AND key = $2 AND opening_session_id = $3",
    );
    let sql = sql.bind(key.player).bind(key.key.as_str()).bind(session);
    let sql = sql.bind(answer.status).bind(answer.body.clone());
    if tx.execute(sql.bind(answer.location.clone())).await? > 0 {
        return Ok(answer);
    }
    let row: Option<StoredRecord> = tx.optional(select(key.player, &key.key, key.now)).await?;
    let known = row.map(IdempotencyRecord::try_from).transpose()?;
    Ok(known.map_or(answer, |record| record.answer))
}

fn select(player: PlayerId, key: &str, now: DateTime<Utc>) -> Sql {
    let sql = Sql::new(
        "SELECT request_hash, status, body, location, opening_session_id \
         FROM remembered_answers WHERE player_id = $1 AND key = $2 AND expires_at_ms > $3",
    );
    sql.bind(player).bind(key).bind(now)
}

#[derive(Debug, FromRow)]
struct StoredRecord {
    request_hash: Vec<u8>,
    status: i64,
    body: Vec<u8>,
    location: Option<String>,
    opening_session_id: Option<Uuid>,
}

impl TryFrom<StoredRecord> for IdempotencyRecord {
    type Error = DbError;

    fn try_from(row: StoredRecord) -> Result<Self, DbError> {
        Ok(Self {
            request_hash: bytes32("remembered_answers.request_hash", row.request_hash)?,
            answer: RecordedResponse {
                status: narrow("remembered_answers.status", row.status)?,
                body: row.body,
                location: row.location,
            },
            opening: row.opening_session_id.map(SessionId),
        })
    }
}
