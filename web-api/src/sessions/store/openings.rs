//! Opening a session: its record, its key and the call that starts its match are one transaction.
//!
//! The table `match_starts` is the outbox of that call. The request that opened the session makes
//! it at once; whoever finds the row later makes it instead. An instance starts a match of one id
//! once, so a call that is repeated does no harm.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::SessionId;
use gameserver_contract::session::SessionState;
use sqlx_macros::FromRow;
use uuid::Uuid;

use crate::config::OpenSessionLimits;
use crate::kit::db::backend::Tx;
use crate::kit::db::idempotency::{Claim, IdempotencyKey, IdempotencyRecord, RecordedResponse};
use crate::kit::db::sql::{Sql, narrow};
use crate::kit::db::{DbError, idempotency};
use crate::sessions::store::SessionsStore;
use crate::sessions::store::records::{NewSession, SessionRow, insert, lock, read, set_state};

/// Writes down what the request that opens a session is answered.
pub(crate) type AnswerSession = fn(&SessionRow) -> RecordedResponse;

/// A session to open.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// The session.
    pub(crate) session: NewSession,
    /// The seed of its match.
    pub(crate) seed: u64,
    /// From then on somebody else may start the match.
    pub(crate) start_due_at: DateTime<Utc>,
    /// The request's key and answer.
    pub(crate) key: Option<(IdempotencyKey, AnswerSession)>,
    /// How many sessions may be open beside it.
    pub(crate) limits: OpenSessionLimits,
}

/// What became of opening a session.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It is `created`, and its match is to be started.
    New(Box<SessionRow>),
    /// The request was made before.
    Known(IdempotencyRecord),
    /// Its host has as many open sessions as a player may, so many.
    PlayerLimit(u32),
    /// As many sessions as may be, so many, are open from its address.
    AddressLimit(u32),
}

/// A match that an instance is to be asked to start.
#[derive(Debug, Clone)]
pub(crate) struct MatchStart {
    /// Its session, which is `created`.
    pub(crate) session: SessionRow,
    /// Its seed.
    pub(crate) seed: u64,
    /// How often it was left to be done later.
    pub(crate) attempts: u32,
}

/// What a session that was to start has become.
#[derive(Debug)]
pub(crate) enum Started {
    /// Its match is hosted, or was; the answer to whoever opened it.
    Answer(RecordedResponse),
    /// It has failed, or there is none.
    Failed,
}

impl SessionsStore {
    /// Opens a session, unless its key stands for something already.
    pub(crate) async fn open_session(&self, opening: Opening) -> Result<Opened, DbError> {
        self.0
            .transaction(move |tx| Box::pin(open(tx, opening)))
            .await
    }

    /// The start of this session's match, while it waits.
    pub(crate) async fn match_start(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<MatchStart>, DbError> {
        let sql =
            Sql::new("SELECT session_id, seed, attempts FROM match_starts WHERE session_id = $1");
        let Some(stored) = self.0.optional::<StoredStart>(sql.bind(id)).await? else {
            return Ok(None);
        };
        let session = self.session(id, now).await?;
        let session = session.filter(|row| row.session.state == SessionState::Created);
        session.map(|row| stored.with(row)).transpose()
    }

    /// Takes at most so many starts that are due, and puts them off to `again_at` for everybody
    /// else. Starts of sessions that are not `created` any more are dropped.
    pub(crate) async fn take_due_starts(
        &self,
        now: DateTime<Utc>,
        again_at: DateTime<Utc>,
        limit: u16,
    ) -> Result<Vec<MatchStart>, DbError> {
        // Most of the time there is none, and looking locks nothing.
        let look = Sql::new("SELECT COUNT(*) FROM match_starts WHERE due_at_ms <= $1");
        let due: Vec<(i64,)> = self.0.all(look.bind(now)).await?;
        if due.iter().all(|(count,)| *count == 0) {
            return Ok(Vec::new());
        }
        self.0
            .transaction(move |tx| Box::pin(take_due(tx, now, again_at, limit)))
            .await
    }

    /// The session's match is not to be started any more: a session that is still `created` fails.
    /// True when it did.
    pub(crate) async fn give_up_start(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        self.0
            .transaction(move |tx| Box::pin(give_up(tx, id, now)))
            .await
    }

    /// The session's match is hosted: makes the session `filling` unless it has gone further, and
    /// writes the final answer for its key.
    pub(crate) async fn finish_opening(
        &self,
        id: SessionId,
        answer: AnswerSession,
        key: Option<IdempotencyKey>,
        now: DateTime<Utc>,
    ) -> Result<Started, DbError> {
        self.0
            .transaction(move |tx| Box::pin(finish(tx, id, answer, key, now)))
            .await
    }
}

async fn open(tx: &mut Tx, opening: Opening) -> Result<Opened, DbError> {
    let id = opening.session.id;
    if let Some((key, _)) = &opening.key
        && let Claim::Known(record) = idempotency::claim(tx, key, Some(id)).await?
    {
        return Ok(Opened::Known(record));
    }
    if let Some(refused) = over_limit(tx, &opening).await? {
        if let Some((key, _)) = &opening.key {
            idempotency::give_back(tx, key).await?;
        }
        return Ok(refused);
    }
    let row = insert(tx, opening.session).await?;
    let start =
        Sql::new("INSERT INTO match_starts (session_id, seed, due_at_ms) VALUES ($1, $2, $3)");
    let start = start.bind(id).bind(opening.seed.cast_signed());
    tx.execute(start.bind(opening.start_due_at)).await?;
    if let Some((key, answer)) = &opening.key {
        idempotency::answer(tx, key, &answer(&row)).await?;
    }
    Ok(Opened::New(Box::new(row)))
}

/// Counts the open sessions of the host and of the address. Openings of one player, and those from
/// one address, are counted one after the other, so that the limits hold exactly.
async fn over_limit(tx: &mut Tx, opening: &Opening) -> Result<Option<Opened>, DbError> {
    let OpenSessionLimits {
        per_player,
        per_address,
    } = opening.limits;
    let host = opening.session.host;
    if let Some(max) = per_player {
        let turn = Sql::locking("SELECT id FROM players WHERE id = $1").bind(host);
        let _: Option<(Uuid,)> = tx.optional(turn).await?;
        let count = Sql::new(
            "SELECT COUNT(*) FROM sessions \
             WHERE host_player_id = $1 AND state NOT IN ('ended', 'failed')",
        );
        if is_full(tx, count.bind(host), max).await? {
            return Ok(Some(Opened::PlayerLimit(max)));
        }
    }
    if let (Some(max), Some(address)) = (per_address, opening.session.opened_from) {
        let turn = Sql::new(
            "INSERT INTO opening_turns (bucket) VALUES ($1) \
             ON CONFLICT (bucket) DO UPDATE SET bucket = excluded.bucket",
        );
        tx.execute(turn.bind(i64::from(address[0]))).await?;
        let count = Sql::new(
            "SELECT COUNT(*) FROM sessions \
             WHERE opened_from = $1 AND state NOT IN ('ended', 'failed')",
        );
        if is_full(tx, count.bind(address.to_vec()), max).await? {
            return Ok(Some(Opened::AddressLimit(max)));
        }
    }
    Ok(None)
}

async fn is_full(tx: &mut Tx, count: Sql, max: u32) -> Result<bool, DbError> {
    let counted: Option<(i64,)> = tx.optional(count).await?;
    Ok(counted.is_some_and(|(count,)| count >= i64::from(max)))
}

async fn finish(
    tx: &mut Tx,
    id: SessionId,
    answer: AnswerSession,
    key: Option<IdempotencyKey>,
    now: DateTime<Utc>,
) -> Result<Started, DbError> {
    let state = lock(tx, id).await?.map(|locked| locked.state);
    if state == Some(SessionState::Created) {
        set_state(tx, id, SessionState::Filling, now).await?;
    }
    let row = read(tx, id, now).await?;
    let Some(row) = row.filter(|row| row.session.state != SessionState::Failed) else {
        return Ok(Started::Failed);
    };
    let answer = answer(&row);
    let answer = match key {
        Some(key) => idempotency::finish_opening(tx, &key, id, answer).await?,
        None => answer,
    };
    Ok(Started::Answer(answer))
}

async fn give_up(tx: &mut Tx, id: SessionId, now: DateTime<Utc>) -> Result<bool, DbError> {
    let state = lock(tx, id).await?.map(|locked| locked.state);
    let is_waiting = state == Some(SessionState::Created);
    if is_waiting {
        set_state(tx, id, SessionState::Failed, now).await?;
    }
    Ok(is_waiting)
}

async fn take_due(
    tx: &mut Tx,
    now: DateTime<Utc>,
    again_at: DateTime<Utc>,
    limit: u16,
) -> Result<Vec<MatchStart>, DbError> {
    let over = Sql::new(
        "DELETE FROM match_starts WHERE due_at_ms <= $1 \
         AND session_id IN (SELECT id FROM sessions WHERE state <> 'created')",
    );
    tx.execute(over.bind(now)).await?;
    // Asked again in the outer condition, which another replica's changes are checked against.
    let take = Sql::new(
        "UPDATE match_starts SET due_at_ms = $2, attempts = attempts + 1 \
         WHERE due_at_ms <= $1 AND session_id IN (\
             SELECT session_id FROM match_starts WHERE due_at_ms <= $1 \
             ORDER BY due_at_ms, session_id LIMIT $3) \
         RETURNING session_id, seed, attempts",
    );
    let taken: Vec<StoredStart> = tx.all(take.bind(now).bind(again_at).bind(limit)).await?;
    let mut starts = Vec::with_capacity(taken.len());
    for stored in taken {
        if let Some(row) = read(tx, SessionId(stored.session_id), now).await? {
            starts.push(stored.with(row)?);
        }
    }
    Ok(starts)
}

#[derive(Debug, FromRow)]
struct StoredStart {
    session_id: Uuid,
    seed: i64,
    attempts: i64,
}

impl StoredStart {
    fn with(self, session: SessionRow) -> Result<MatchStart, DbError> {
        Ok(MatchStart {
            session,
            seed: self.seed.cast_unsigned(),
            attempts: narrow("match_starts.attempts", self.attempts)?,
        })
    }
}
