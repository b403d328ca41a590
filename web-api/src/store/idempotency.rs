//! Remembered answers: a POST that is sent twice with one `Idempotency-Key` is answered twice and
//! done once.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::PlayerId;
use sqlx::FromRow;

use super::sql::{Sql, bytes32, narrow};
use super::{Store, StoreError};

/// The remembered answer to a POST with an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedAnswer {
    /// SHA-256 of method, path and body: the same key with another request is an error.
    pub request_hash: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
    /// The `Location` header, if there was one.
    pub location: Option<String>,
}

impl Store {
    /// The answer that this player got for this key, unless it has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer.
    pub async fn remembered_answer(
        &self,
        player: PlayerId,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<RememberedAnswer>, StoreError> {
        let sql = Sql::new(
            "SELECT request_hash, status, body, location, expires_at_ms FROM remembered_answers \
             WHERE player_id = $1 AND key = $2",
        );
        let row: Option<StoredAnswer> = self.db.optional(sql.bind(player).bind(key)).await?;
        let Some(row) = row else { return Ok(None) };
        if row.expires_at_ms > now.timestamp_millis() {
            return RememberedAnswer::try_from(row).map(Some);
        }
        self.forget_expired_answer(player, key, now).await?;
        Ok(None)
    }

    /// Keeps the first answer of a key; a later one for the same key changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot answer.
    pub async fn remember_answer(
        &self,
        player: PlayerId,
        key: &str,
        answer: &RememberedAnswer,
        expires_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let sql = Sql::new(
            "INSERT INTO remembered_answers \
             (player_id, key, request_hash, status, body, location, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (player_id, key) DO NOTHING",
        );
        let sql = sql
            .bind(player)
            .bind(key)
            .bind(&answer.request_hash)
            .bind(answer.status);
        let sql = sql
            .bind(answer.body.clone())
            .bind(answer.location.clone())
            .bind(expires_at);
        self.db.execute(sql).await.map(drop)
    }

    /// Makes room for a new first answer before the next sweep does.
    async fn forget_expired_answer(
        &self,
        player: PlayerId,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let sql = Sql::new(
            "DELETE FROM remembered_answers \
             WHERE player_id = $1 AND key = $2 AND expires_at_ms <= $3",
        );
        self.db
            .execute(sql.bind(player).bind(key).bind(now))
            .await
            .map(drop)
    }
}

#[derive(Debug, FromRow)]
struct StoredAnswer {
    request_hash: Vec<u8>,
    status: i64,
    body: Vec<u8>,
    location: Option<String>,
    expires_at_ms: i64,
}

impl TryFrom<StoredAnswer> for RememberedAnswer {
    type Error = StoreError;

    fn try_from(row: StoredAnswer) -> Result<Self, StoreError> {
        Ok(Self {
            request_hash: bytes32("remembered_answers.request_hash", row.request_hash)?,
            status: narrow("remembered_answers.status", row.status)?,
            body: row.body,
            location: row.location,
        })
    }
}
