//! Logins: families of refresh tokens, each good for one use.
//!
//! A token is stored as its SHA-256. Every change of a family locks the login's row first, so that
//! two uses of one token, or a use and a logout, happen one after the other.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gameserver_contract::ids::PlayerId;
use sqlx_macros::FromRow;
use uuid::Uuid;

use crate::accounts::store::AccountsStore;
use crate::kit::db::DbError;
use crate::kit::db::backend::Tx;
use crate::kit::db::sql::Sql;

/// One refresh token of a login family.
#[derive(Debug, Clone)]
pub(crate) struct NewRefreshToken {
    /// SHA-256 of the token.
    pub(crate) hash: [u8; 32],
    /// All tokens that descend from one login share it.
    pub(crate) family: Uuid,
    /// Whose login it is.
    pub(crate) player: PlayerId,
    /// When it was handed out.
    pub(crate) issued_at: DateTime<Utc>,
    /// It is refused from then on.
    pub(crate) expires_at: DateTime<Utc>,
}

/// A refresh token to spend and what to put in its place.
#[derive(Debug, Clone)]
pub(crate) struct RotateRefreshToken {
    /// SHA-256 of the token to spend.
    pub(crate) old_hash: [u8; 32],
    /// SHA-256 of the successor.
    pub(crate) new_hash: [u8; 32],
    /// What the same successor can be made from again within the grace (never the token itself).
    pub(crate) successor_seed: Vec<u8>,
    /// When the token is used.
    pub(crate) now: DateTime<Utc>,
    /// When the successor ends.
    pub(crate) expires_at: DateTime<Utc>,
    /// How long after its use an old token still returns the same successor.
    pub(crate) grace: Duration,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// The old token is spent and `successor` is stored.
    Rotated {
        /// Whose login it is.
        player: PlayerId,
        /// The login.
        login: Uuid,
    },
    /// The old token was spent less than the grace ago by a client that may not have heard the
    /// answer: it gets the very same successor again.
    Repeated {
        /// Whose login it is.
        player: PlayerId,
        /// The login.
        login: Uuid,
        /// What was stored with the spent token.
        successor_seed: Vec<u8>,
    },
    /// The token was used again after the grace or after its successor: the whole family is
    /// revoked now.
    Reused {
        /// Whose login it was.
        player: PlayerId,
        /// The login.
        login: Uuid,
    },
    /// Unknown, expired or revoked.
    Refused,
}

impl AccountsStore {
    /// Stores the first token of a login.
    pub(crate) async fn insert_refresh_token(&self, token: NewRefreshToken) -> Result<(), DbError> {
        self.0
            .transaction(move |tx| Box::pin(insert_login(tx, token)))
            .await
    }

    /// Spends a refresh token and stores its successor, or revokes the family of a token that
    /// comes back although its successor was heard of.
    pub(crate) async fn rotate_refresh_token(
        &self,
        rotate: RotateRefreshToken,
    ) -> Result<Rotation, DbError> {
        self.0
            .transaction(move |tx| Box::pin(spend(tx, rotate)))
            .await
    }

    /// Revokes the whole family of the token with this hash (logout) and returns which; again when
    /// it was revoked before. An unknown token changes nothing.
    pub(crate) async fn revoke_refresh_family(
        &self,
        hash: &[u8; 32],
    ) -> Result<Option<Uuid>, DbError> {
        let hash = *hash;
        self.0
            .transaction(move |tx| Box::pin(revoke_family(tx, hash)))
            .await
    }

    /// True for a login that was neither revoked nor forgotten after its last token ended.
    pub(crate) async fn is_login_live(&self, login: Uuid) -> Result<bool, DbError> {
        let sql = Sql::new("SELECT revoked FROM logins WHERE id = $1").bind(login);
        let row: Option<(bool,)> = self.0.optional(sql).await?;
        Ok(row.is_some_and(|(revoked,)| !revoked))
    }
}

impl AccountsStore {
    /// Deletes refresh tokens that have ended, and logins without a token left. Returns how many
    /// tokens.
    pub(crate) async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, DbError> {
        let tokens = "DELETE FROM refresh_tokens WHERE expires_at_ms <= $1";
        let tokens = self.0.sweep(tokens, now).await?;
        let logins = "DELETE FROM logins WHERE expires_at_ms <= $1";
        self.0.sweep(logins, now).await.map(|_| tokens)
    }
}

/// Stores a login with its first token.
pub(crate) async fn insert_login(tx: &mut Tx, token: NewRefreshToken) -> Result<(), DbError> {
    let login = Sql::new(
        "INSERT INTO logins (id, player_id, created_at_ms, expires_at_ms) \
         VALUES ($1, $2, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET expires_at_ms = excluded.expires_at_ms",
    );
    let login = login.bind(token.family).bind(token.player);
    tx.execute(login.bind(token.issued_at).bind(token.expires_at))
        .await?;
    insert_token(
        tx,
        &token.hash,
        token.family,
        token.issued_at,
        token.expires_at,
    )
    .await
}

async fn insert_token(
    tx: &mut Tx,
    hash: &[u8; 32],
    login: Uuid,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = Sql::new(
        "INSERT INTO refresh_tokens (hash, login_id, issued_at_ms, expires_at_ms) \
         VALUES ($1, $2, $3, $4)",
    );
    tx.execute(sql.bind(hash).bind(login).bind(issued_at).bind(expires_at))
        .await
        .map(drop)
}

async fn spend(tx: &mut Tx, rotate: RotateRefreshToken) -> Result<Rotation, DbError> {
    let Some(token) = lock_token(tx, &rotate.old_hash).await? else {
        return Ok(Rotation::Refused);
    };
    let player = PlayerId(token.player_id);
    match judge(token, rotate.now.timestamp_millis(), rotate.grace) {
        Verdict::Refuse => Ok(Rotation::Refused),
        Verdict::Rotate { login } => {
            replace(tx, login, &rotate).await?;
            Ok(Rotation::Rotated { player, login })
        }
        Verdict::Repeat {
            login,
            successor_seed,
        } => Ok(Rotation::Repeated {
            player,
            login,
            successor_seed,
        }),
        Verdict::Revoke { login } => {
            revoke(tx, login).await?;
            Ok(Rotation::Reused { player, login })
        }
    }
}

/// Locks the token's login and only then reads the token, so that it is read as the previous
/// holder of the lock left it.
async fn lock_token(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<StoredToken>, DbError> {
    let lock = Sql::locking(
        "SELECT id FROM logins WHERE id = (SELECT login_id FROM refresh_tokens WHERE hash = $1)",
    );
    let login: Option<(Uuid,)> = tx.optional(lock.bind(hash)).await?;
    if login.is_none() {
        return Ok(None);
    }
    let read = Sql::new(
        "SELECT token.login_id, login.player_id, login.revoked, token.expires_at_ms, \
                token.spent_at_ms, token.successor_seed, \
                successor.spent_at_ms AS successor_spent_at_ms \
         FROM refresh_tokens AS token \
         JOIN logins AS login ON login.id = token.login_id \
         LEFT JOIN refresh_tokens AS successor ON successor.hash = token.successor_hash \
         WHERE token.hash = $1",
    );
    tx.optional(read.bind(hash)).await
}

#[derive(Debug, FromRow)]
struct StoredToken {
    login_id: Uuid,
    player_id: Uuid,
    revoked: bool,
    expires_at_ms: i64,
    spent_at_ms: Option<i64>,
    successor_seed: Option<Vec<u8>>,
    successor_spent_at_ms: Option<i64>,
}

#[derive(Debug)]
enum Verdict {
    Refuse,
    Rotate {
        login: Uuid,
    },
    Repeat {
        login: Uuid,
        successor_seed: Vec<u8>,
    },
    Revoke {
        login: Uuid,
    },
}

fn judge(token: StoredToken, now_ms: i64, grace: Duration) -> Verdict {
    let login = token.login_id;
    if token.revoked || token.expires_at_ms <= now_ms {
        return Verdict::Refuse;
    }
    let Some(spent_at_ms) = token.spent_at_ms else {
        return Verdict::Rotate { login };
    };
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let in_grace = now_ms.saturating_sub(spent_at_ms) < grace_ms;
    match token.successor_seed {
        // Whoever used the successor has heard of it, so this is somebody else.
        Some(successor_seed) if in_grace && token.successor_spent_at_ms.is_none() => {
            Verdict::Repeat {
                login,
                successor_seed,
            }
        }
        _ => Verdict::Revoke { login },
    }
}

async fn replace(tx: &mut Tx, login: Uuid, rotate: &RotateRefreshToken) -> Result<(), DbError> {
    insert_token(tx, &rotate.new_hash, login, rotate.now, rotate.expires_at).await?;
    let spend = Sql::new(
        "UPDATE refresh_tokens SET spent_at_ms = $2, successor_hash = $3, successor_seed = $4 \
         WHERE hash = $1",
    );
    let spend = spend
        .bind(&rotate.old_hash)
        .bind(rotate.now)
        .bind(&rotate.new_hash);
    tx.execute(spend.bind(rotate.successor_seed.clone()))
        .await?;
    let extend = Sql::new("UPDATE logins SET expires_at_ms = $2 WHERE id = $1");
    tx.execute(extend.bind(login).bind(rotate.expires_at))
        .await
        .map(drop)
}

async fn revoke_family(tx: &mut Tx, hash: [u8; 32]) -> Result<Option<Uuid>, DbError> {
    let sql = Sql::new(
        "UPDATE logins SET revoked = TRUE \
         WHERE id = (SELECT login_id FROM refresh_tokens WHERE hash = $1) RETURNING id",
    );
    let row: Option<(Uuid,)> = tx.optional(sql.bind(&hash)).await?;
    let login = row.map(|(login,)| login);
    if let Some(login) = login {
        evict(tx, login).await?;
    }
    Ok(login)
}

async fn revoke(tx: &mut Tx, login: Uuid) -> Result<(), DbError> {
    let sql = Sql::new("UPDATE logins SET revoked = TRUE WHERE id = $1");
    tx.execute(sql.bind(login)).await?;
    evict(tx, login).await
}

/// Has the seats that were joined with this login given up, by the answer to their instance's next
/// report.
async fn evict(tx: &mut Tx, login: Uuid) -> Result<(), DbError> {
    let sql = Sql::new("UPDATE seats SET evicted = TRUE WHERE login_id = $1");
    tx.execute(sql.bind(login)).await.map(drop)
}
