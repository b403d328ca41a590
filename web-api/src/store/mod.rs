//! The durable store: players, logins, sessions, seats and results in PostgreSQL or SQLite.
//!
//! It knows SQL and nothing of HTTP, tokens or rules of the lobby beyond what one transaction must
//! hold together (a seat is never given twice, a result is stored once). "Not found" is `None`.

use chrono::{DateTime, Utc};
use gameserver_contract::account::{GameStats, MatchRecord, Player};
use gameserver_contract::ids::{
    DeviceId, GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId,
};
use gameserver_contract::result::MatchResult;
use gameserver_contract::session::{Role, Session, SessionState, Visibility};

/// Handle to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {}

/// Why the database could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, a timeout, or a failed statement.
    #[error("reach the database")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("migrate the database")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The URL is neither `postgres://` nor `sqlite:`.
    #[error("use the database URL: {0}")]
    Url(String),
    /// A row holds a value that this build does not know.
    #[error("read {column}: {value:?} is not known")]
    Corrupt {
        /// Where.
        column: &'static str,
        /// What stood there.
        value: String,
    },
}

// ----- players and logins

/// A new guest account with its first device.
#[derive(Debug, Clone)]
pub struct NewGuest {
    pub player: PlayerId,
    pub display_name: String,
    pub device: DeviceId,
    /// SHA-256 of the device's secret.
    pub device_secret_hash: [u8; 32],
    pub now: DateTime<Utc>,
}

/// A device that may log its player in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    pub player: PlayerId,
    pub secret_hash: [u8; 32],
}

/// A profile with the version that its ETag shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerRow {
    pub player: Player,
    pub version: i64,
}

/// What became of a change that named the version it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update<T> {
    Done(T),
    /// Somebody else changed it in between.
    VersionMismatch,
    NotFound,
}

/// One refresh token of a login family.
#[derive(Debug, Clone)]
pub struct NewRefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// All tokens that descend from one login share it.
    pub family: uuid::Uuid,
    pub player: PlayerId,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The old token is spent and `successor` is stored.
    Rotated { player: PlayerId },
    /// The old token was spent less than the grace ago by a client that may not have heard the
    /// answer: it gets the very same successor again. `successor_seed` is what was stored with it.
    Repeated {
        player: PlayerId,
        successor_seed: Vec<u8>,
    },
    /// The token was used again after its successor: the whole family is revoked now.
    Reused { player: PlayerId },
    /// Unknown, expired or revoked.
    Refused,
}

/// A refresh token to spend and what to put in its place.
#[derive(Debug, Clone)]
pub struct RotateRefreshToken {
    pub old_hash: [u8; 32],
    /// SHA-256 of the successor.
    pub new_hash: [u8; 32],
    /// What the same successor can be made from again within the grace (never the token itself).
    pub successor_seed: Vec<u8>,
    pub now: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// How long after its use an old token still returns the same successor.
    pub grace: std::time::Duration,
}

// ----- sessions and seats

/// A session about to be opened.
#[derive(Debug, Clone)]
pub struct NewSession {
    pub id: SessionId,
    pub game: GameId,
    pub mode: String,
    pub name: String,
    pub region: String,
    pub visibility: Visibility,
    pub join_code: Option<String>,
    pub tags: Vec<String>,
    pub players_max: u16,
    pub host: PlayerId,
    pub match_id: MatchId,
    pub instance: InstanceId,
    pub epoch: InstanceEpoch,
    pub result_key: [u8; 32],
    pub now: DateTime<Utc>,
}

/// A session with what only the service may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// As clients see it; `join_code` is always filled in here.
    pub session: Session,
    pub instance: InstanceId,
    pub epoch: InstanceEpoch,
    pub result_key: [u8; 32],
    /// What the ETag shows; every change of the record counts it up.
    pub version: i64,
}

/// Which sessions to list. Private sessions are never listed.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    pub game: Option<GameId>,
    pub mode: Option<String>,
    pub region: Option<String>,
    /// All states that are not final when `None`.
    pub state: Option<SessionState>,
    pub free_slots_min: Option<u16>,
    pub tag: Option<String>,
}

/// Where a list goes on: after this row, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    pub at: DateTime<Utc>,
    pub id: uuid::Uuid,
}

/// A wish for a seat.
#[derive(Debug, Clone)]
pub struct SeatWish {
    pub session: SessionId,
    pub player: PlayerId,
    pub role: Role,
    pub now: DateTime<Utc>,
    /// The reservation ends here unless the instance reports the seat as taken.
    pub held_until: DateTime<Utc>,
}

/// What became of a wish for a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// The seat is held; `None` for a spectator, who takes none. A player who asks again gets the
    /// seat that they hold already, held anew.
    Held(Option<Seat>),
    Full,
    NotJoinable(SessionState),
    NotFound,
}

/// The present truth about a match, as its instance reports it.
#[derive(Debug, Clone)]
pub struct MatchReport {
    pub match_id: MatchId,
    pub state: SessionState,
    pub seats: Vec<(Seat, PlayerId)>,
    pub spectators: u32,
}

// ----- results

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultOutcome {
    Stored,
    /// This match's result was stored before; nothing changed.
    Duplicate,
    /// No session has this match.
    UnknownMatch,
}

// ----- idempotency

/// The remembered answer to a POST with an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedAnswer {
    /// SHA-256 of method, path and body: the same key with another request is an error.
    pub request_hash: [u8; 32],
    pub status: u16,
    pub body: Vec<u8>,
    pub location: Option<String>,
}

#[expect(unused_variables, clippy::unused_async, reason = "signatures only")]
impl Store {
    /// Opens `postgres://…` or `sqlite:…` (also `sqlite::memory:`) with at most `connections_max` connections.
    pub async fn connect(url: &str, connections_max: u32) -> Result<Self, StoreError> {
        unimplemented!()
    }
    /// Brings the schema up to date. Safe to call from several processes at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Undoes the newest migration; returns its version, `None` when none was applied.
    pub async fn migrate_down(&self) -> Result<Option<i64>, StoreError> {
        unimplemented!()
    }
    /// (version, description, applied) of every known migration.
    pub async fn migration_status(&self) -> Result<Vec<(i64, String, bool)>, StoreError> {
        unimplemented!()
    }
    /// One cheap round trip, for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    pub async fn create_guest(&self, guest: NewGuest) -> Result<Player, StoreError> {
        unimplemented!()
    }
    pub async fn device(&self, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        unimplemented!()
    }
    pub async fn player(&self, id: PlayerId) -> Result<Option<PlayerRow>, StoreError> {
        unimplemented!()
    }
    pub async fn rename_player(
        &self,
        id: PlayerId,
        version: i64,
        display_name: &str,
        now: DateTime<Utc>,
    ) -> Result<Update<PlayerRow>, StoreError> {
        unimplemented!()
    }
    pub async fn insert_refresh_token(&self, token: NewRefreshToken) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn rotate_refresh_token(
        &self,
        rotate: RotateRefreshToken,
    ) -> Result<Rotation, StoreError> {
        unimplemented!()
    }
    /// Revokes the whole family of the token with this hash (logout). Unknown tokens change nothing.
    pub async fn revoke_refresh_family(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        unimplemented!()
    }

    pub async fn insert_session(&self, session: NewSession) -> Result<SessionRow, StoreError> {
        unimplemented!()
    }
    pub async fn session(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionRow>, StoreError> {
        unimplemented!()
    }
    pub async fn session_of_match(
        &self,
        id: MatchId,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionRow>, StoreError> {
        unimplemented!()
    }
    /// Newest first, at most `limit`.
    pub async fn list_sessions(
        &self,
        filter: &SessionFilter,
        after: Option<After>,
        limit: u16,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        unimplemented!()
    }
    /// Moves a session to `next` when [`SessionState::can_become`] allows it; `Ok(None)` when there is no such session, `Err(state)` inside when the edge is illegal.
    pub async fn transition(
        &self,
        id: SessionId,
        next: SessionState,
        now: DateTime<Utc>,
    ) -> Result<Option<Result<SessionRow, SessionState>>, StoreError> {
        unimplemented!()
    }
    /// Holds a seat in one transaction: expired holds are dropped first, the lowest free seat is given, never one seat twice.
    pub async fn reserve_seat(&self, wish: SeatWish) -> Result<Reservation, StoreError> {
        unimplemented!()
    }
    /// Gives a player's seat back. True when they had one.
    pub async fn release_seat(
        &self,
        session: SessionId,
        player: PlayerId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }
    /// The seat that a player holds or has reserved in a session.
    pub async fn seat_of(
        &self,
        session: SessionId,
        player: PlayerId,
        now: DateTime<Utc>,
    ) -> Result<Option<Seat>, StoreError> {
        unimplemented!()
    }
    /// Makes the seats and states of an instance's sessions equal to what it reports: reported seats become taken, taken seats that it no longer reports are freed, reservations stay until they expire. Illegal state edges are ignored. Returns the reported matches that no live session of this instance run has (the instance should stop them).
    pub async fn apply_reports(
        &self,
        instance: InstanceId,
        epoch: InstanceEpoch,
        reports: &[MatchReport],
        now: DateTime<Utc>,
    ) -> Result<Vec<MatchId>, StoreError> {
        unimplemented!()
    }
    /// Marks every live session of these instances as failed, apart from those of the given run; returns how many.
    pub async fn fail_sessions_of(
        &self,
        instance: InstanceId,
        except: Option<InstanceEpoch>,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        unimplemented!()
    }
    /// (instance, epoch) of all live sessions, to find those whose instance is gone.
    pub async fn instances_with_live_sessions(
        &self,
    ) -> Result<Vec<(InstanceId, InstanceEpoch)>, StoreError> {
        unimplemented!()
    }

    /// Stores a result, each player's history and totals and the session's end in one transaction, once per match. Aborted matches enter the history but not the totals.
    pub async fn store_result(
        &self,
        result: &MatchResult,
        now: DateTime<Utc>,
    ) -> Result<ResultOutcome, StoreError> {
        unimplemented!()
    }
    pub async fn player_stats(&self, player: PlayerId) -> Result<Vec<GameStats>, StoreError> {
        unimplemented!()
    }
    /// Newest first, at most `limit`.
    pub async fn player_matches(
        &self,
        player: PlayerId,
        after: Option<After>,
        limit: u16,
    ) -> Result<Vec<MatchRecord>, StoreError> {
        unimplemented!()
    }

    pub async fn remembered_answer(
        &self,
        player: PlayerId,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<RememberedAnswer>, StoreError> {
        unimplemented!()
    }
    /// Keeps the first answer of a key; a later one for the same key changes nothing.
    pub async fn remember_answer(
        &self,
        player: PlayerId,
        key: &str,
        answer: &RememberedAnswer,
        expires_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Deletes expired refresh tokens, remembered answers and seat holds; returns how many rows.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        unimplemented!()
    }
}
