//! Sessions: the lobby records, their list and the states they go through.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{GameId, InstanceEpoch, InstanceId, MatchId, PlayerId, SessionId};
use gameserver_contract::session::{Session, SessionState, SessionVisibility};
use gameserver_contract::spectator::{SpectatorView, SpectatorsPolicy};
use sqlx_macros::FromRow;
use uuid::Uuid;

use crate::kit::cursor::After;
use crate::kit::db::DbError;
use crate::kit::db::backend::Tx;
use crate::kit::db::sql::{Sql, Value, bytes32, corrupt, game, narrow, time};
use crate::sessions::store::SessionsStore;

/// A session about to be opened.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    /// The session's id.
    pub(crate) id: SessionId,
    /// The game it plays.
    pub(crate) game: GameId,
    /// The game's mode.
    pub(crate) mode: String,
    /// Name for people.
    pub(crate) name: String,
    /// Region of the instance that hosts it.
    pub(crate) region: String,
    /// Who finds it in the list.
    pub(crate) visibility: SessionVisibility,
    /// Code that a private session's players need.
    pub(crate) join_code: Option<String>,
    /// Labels to search by.
    pub(crate) tags: Vec<String>,
    /// Seats in all.
    pub(crate) players_max: u16,
    /// What people who watch may see.
    pub(crate) spectators: SpectatorsPolicy,
    /// Who opened it.
    pub(crate) host: PlayerId,
    /// A keyed hash of the address that it is opened from.
    pub(crate) opened_from: Option<[u8; 16]>,
    /// The match that runs it.
    pub(crate) match_id: MatchId,
    /// The instance that hosts the match.
    pub(crate) instance: InstanceId,
    /// The run of that instance.
    pub(crate) epoch: InstanceEpoch,
    /// The key that the match's result is signed with.
    pub(crate) result_key: [u8; 32],
    /// When it is opened.
    pub(crate) now: DateTime<Utc>,
}

/// A session with what only the service may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    /// As clients see it; `join_code` is always filled in here.
    pub(crate) session: Session,
    /// The instance that hosts the match.
    pub(crate) instance: InstanceId,
    /// The run of that instance.
    pub(crate) epoch: InstanceEpoch,
    /// The key that the match's result is signed with.
    pub(crate) result_key: [u8; 32],
    /// What the `ETag` shows; every change of the record counts it up.
    pub(crate) version: i64,
}

/// A session and what joining it needs of a player.
#[derive(Debug, Clone)]
pub(crate) struct Joinable {
    pub(crate) row: SessionRow,
    /// `None` when there is no such player.
    pub(crate) display_name: Option<String>,
    /// Whether the player holds a seat or has reserved one.
    pub(crate) has_seat: bool,
}

/// Which sessions to list. Private sessions are never listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionFilter {
    /// Of this game.
    pub(crate) game: Option<GameId>,
    /// Of this mode.
    pub(crate) mode: Option<String>,
    /// In this region.
    pub(crate) region: Option<String>,
    /// All states that are not final when `None`.
    pub(crate) state: Option<SessionState>,
    /// With at least so many seats that are neither taken nor reserved.
    pub(crate) free_slots_min: Option<u16>,
    /// With this tag.
    pub(crate) tag: Option<String>,
}

/// The seats in use of session `s` at `$1`: taken ones and those on hold.
macro_rules! seats_in_use {
    () => {
        "(SELECT COUNT(*) FROM seats WHERE seats.session_id = s.id \
          AND (seats.held_until_ms IS NULL OR seats.held_until_ms > $1))"
    };
}

/// Everything of [`StoredSession`]; `$1` is the present time.
macro_rules! select_session {
    ($where:expr) => {
        select_session!("", $where)
    };
    ($more:expr, $where:expr) => {
        concat!(
            "SELECT ",
            $more,
            "s.id, s.game, s.mode, s.name, s.region, s.state, s.visibility, s.join_code, \
             s.tags, s.players_max, s.spectators, s.spectators_allowed, s.spectators_view, \
             s.spectators_delay_s, s.host_player_id, s.match_id, s.instance_id, \
             s.instance_epoch, s.result_key, s.version, s.created_at_ms, s.updated_at_ms, ",
            seats_in_use!(),
            " AS players FROM sessions AS s WHERE ",
            $where
        )
    };
}

/// The conditions are those of the index `sessions_listed`.
const LIST_LIVE: &str =
    select_session!("s.visibility = 'public' AND s.state NOT IN ('ended', 'failed')");
const LIST_FINAL: &str =
    select_session!("s.visibility = 'public' AND s.state IN ('ended', 'failed')");

/// The list of public sessions, newest first. It asks for no more than the filter does: conditions
/// that are always true would have the database plan for every filter there is.
fn list_sql(filter: &SessionFilter, after: Option<After>, limit: u16, now: DateTime<Utc>) -> Sql {
    let wants_final = filter.state.is_some_and(SessionState::is_final);
    let mut sql = Sql::composed(if wants_final { LIST_FINAL } else { LIST_LIVE }).bind(now);
    if let Some(after) = after {
        sql = sql
            .push_value(" AND (s.created_at_ms, s.id) < (", after.at)
            .push_value(", ", after.id)
            .push(")");
    }
    if let Some(state) = filter.state {
        sql = sql.push_value(" AND s.state = ", state.as_str());
    }
    if let Some(game) = &filter.game {
        sql = sql.push_value(" AND s.game = ", game);
    }
    if let Some(mode) = filter.mode.as_deref() {
        sql = sql.push_value(" AND s.mode = ", mode);
    }
    if let Some(region) = filter.region.as_deref() {
        sql = sql.push_value(" AND s.region = ", region);
    }
    if let Some(tag) = filter.tag.as_deref() {
        let tagged = " AND EXISTS (SELECT 1 FROM session_tags AS t \
                      WHERE t.session_id = s.id AND t.tag = ";
        sql = sql.push_value(tagged, tag).push(")");
    }
    if let Some(free) = filter.free_slots_min {
        let free_slots = concat!(" AND s.players_max - ", seats_in_use!(), " >= ");
        sql = sql.push_value(free_slots, free);
    }
    sql.push_value(" ORDER BY s.created_at_ms DESC, s.id DESC LIMIT ", limit)
}

impl SessionsStore {
    /// The session of that id, with its seats counted at `now`.
    pub(crate) async fn session(
        &self,
        id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionRow>, DbError> {
        let sql = Sql::new(select_session!("s.id = $2")).bind(now).bind(id);
        let row: Option<StoredSession> = self.0.optional(sql).await?;
        row.map(SessionRow::try_from).transpose()
    }

    /// The session of that id, with what joining it needs of a player, in one statement.
    pub(crate) async fn session_for_join(
        &self,
        id: SessionId,
        player: PlayerId,
        now: DateTime<Utc>,
    ) -> Result<Option<Joinable>, DbError> {
        let sql = Sql::new(select_session!(
            "(SELECT p.display_name FROM players AS p WHERE p.id = $3) AS display_name, \
             (SELECT own.seat FROM seats AS own WHERE own.session_id = s.id \
              AND own.player_id = $3 \
              AND (own.held_until_ms IS NULL OR own.held_until_ms > $1)) AS own_seat, ",
            "s.id = $2"
        ));
        let sql = sql.bind(now).bind(id).bind(player);
        let row: Option<StoredJoinable> = self.0.optional(sql).await?;
        let joinable = row.map(|row| {
            Ok(Joinable {
                row: SessionRow::try_from(row.session)?,
                display_name: row.display_name,
                has_seat: row.own_seat.is_some(),
            })
        });
        joinable.transpose()
    }

    /// The session that a match runs.
    pub(crate) async fn session_of_match(
        &self,
        id: MatchId,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionRow>, DbError> {
        let sql = Sql::new(select_session!("s.match_id = $2"))
            .bind(now)
            .bind(id);
        let row: Option<StoredSession> = self.0.optional(sql).await?;
        row.map(SessionRow::try_from).transpose()
    }

    /// True when the match's result, which `matches` keeps, names this player.
    pub(crate) async fn has_played(&self, id: MatchId, player: PlayerId) -> Result<bool, DbError> {
        let sql = Sql::new("SELECT seat FROM match_players WHERE match_id = $1 AND player_id = $2");
        let row: Option<(i64,)> = self.0.optional(sql.bind(id).bind(player)).await?;
        Ok(row.is_some())
    }

    /// Newest first, at most `limit`.
    pub(crate) async fn list_sessions(
        &self,
        filter: &SessionFilter,
        after: Option<After>,
        limit: u16,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionRow>, DbError> {
        let sql = list_sql(filter, after, limit, now);
        let rows: Vec<StoredSession> = self.0.all(sql).await?;
        rows.into_iter().map(SessionRow::try_from).collect()
    }

    /// Moves a session to `next` when [`SessionState::can_become`] allows it; `Ok(None)` when there
    /// is no such session, `Err(state)` inside when the edge is illegal. A final state frees all
    /// seats.
    pub(crate) async fn transition(
        &self,
        id: SessionId,
        next: SessionState,
        now: DateTime<Utc>,
    ) -> Result<Option<Result<SessionRow, SessionState>>, DbError> {
        self.0
            .transaction(move |tx| Box::pin(move_on(tx, id, None, next, now)))
            .await
    }

    /// The same for a session that is in one state only; in any other one, the edge is illegal.
    pub(crate) async fn transition_from(
        &self,
        id: SessionId,
        from: SessionState,
        next: SessionState,
        now: DateTime<Utc>,
    ) -> Result<Option<Result<SessionRow, SessionState>>, DbError> {
        self.0
            .transaction(move |tx| Box::pin(move_on(tx, id, Some(from), next, now)))
            .await
    }
}

/// What a change of a session must know before it; the row stays locked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockedSession {
    pub(crate) state: SessionState,
    pub(crate) players_max: u16,
    pub(crate) host: PlayerId,
}

/// Locks a session's row. Everything that changes a session or its seats does this first.
pub(crate) async fn lock(tx: &mut Tx, id: SessionId) -> Result<Option<LockedSession>, DbError> {
    let sql = Sql::locking("SELECT state, players_max, host_player_id FROM sessions WHERE id = $1")
        .bind(id);
    let row: Option<(String, i64, Uuid)> = tx.optional(sql).await?;
    let locked = row.map(|(text, players_max, host)| {
        let players_max = narrow("sessions.players_max", players_max)?;
        Ok(LockedSession {
            state: state(text)?,
            players_max,
            host: PlayerId(host),
        })
    });
    locked.transpose()
}

/// Sets the state of a locked session and counts its version up. Nothing is left to be started: a
/// session that was `created` is not any more.
pub(crate) async fn set_state(
    tx: &mut Tx,
    id: SessionId,
    next: SessionState,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = Sql::new(
        "UPDATE sessions SET state = $2, version = version + 1, updated_at_ms = $3 WHERE id = $1",
    );
    tx.execute(sql.bind(id).bind(next.as_str()).bind(now))
        .await?;
    let start = Sql::new("DELETE FROM match_starts WHERE session_id = $1");
    tx.execute(start.bind(id)).await?;
    if next.is_final() {
        let free = Sql::new("DELETE FROM seats WHERE session_id = $1");
        tx.execute(free.bind(id)).await?;
    }
    Ok(())
}

/// Counts the version of a locked session up, because one of its seats changed.
pub(crate) async fn touch(tx: &mut Tx, id: SessionId, now: DateTime<Utc>) -> Result<(), DbError> {
    let sql =
        Sql::new("UPDATE sessions SET version = version + 1, updated_at_ms = $2 WHERE id = $1");
    tx.execute(sql.bind(id).bind(now)).await.map(drop)
}

/// The state that a `state` column holds.
pub(crate) fn state(text: String) -> Result<SessionState, DbError> {
    SessionState::parse(&text).ok_or_else(|| corrupt("sessions.state", text))
}

pub(crate) async fn insert(tx: &mut Tx, new: NewSession) -> Result<SessionRow, DbError> {
    let (id, now) = (new.id, new.now);
    let mut tags = new.tags.clone();
    tags.sort_unstable();
    tags.dedup();
    let tags = tags
        .into_iter()
        .map(|tag| [Value::from(id), Value::from(tag)])
        .collect();
    tx.execute(insert_row(new)).await?;
    let head = "INSERT INTO session_tags (session_id, tag) VALUES";
    tx.execute_each(Sql::with_rows(head, tags, "")).await?;
    read(tx, id, now)
        .await?
        .ok_or(DbError::Database(sqlx::Error::RowNotFound))
}

fn insert_row(new: NewSession) -> Sql {
    let sql = Sql::new(
        "INSERT INTO sessions (id, game, mode, name, region, visibility, join_code, tags, \
         players_max, host_player_id, match_id, instance_id, instance_epoch, result_key, \
         created_at_ms, updated_at_ms, spectators_allowed, spectators_view, spectators_delay_s, \
         opened_from) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, \
         $16, $17, $18, $19)",
    );
    sql.bind(new.id)
        .bind(&new.game)
        .bind(new.mode)
        .bind(new.name)
        .bind(new.region)
        .bind(visibility_name(new.visibility))
        .bind(new.join_code)
        .bind(serde_json::Value::from(new.tags).to_string())
        .bind(new.players_max)
        .bind(new.host)
        .bind(new.match_id)
        .bind(new.instance)
        .bind(new.epoch)
        .bind(&new.result_key)
        .bind(new.now)
        .bind(new.spectators.allowed)
        .bind(new.spectators.view.as_str())
        .bind(new.spectators.delay_s)
        .bind(new.opened_from.map(Vec::from))
}

/// The session of that id, within a transaction.
pub(crate) async fn read(
    tx: &mut Tx,
    id: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<SessionRow>, DbError> {
    let sql = Sql::new(select_session!("s.id = $2")).bind(now).bind(id);
    let row: Option<StoredSession> = tx.optional(sql).await?;
    row.map(SessionRow::try_from).transpose()
}

async fn move_on(
    tx: &mut Tx,
    id: SessionId,
    from: Option<SessionState>,
    next: SessionState,
    now: DateTime<Utc>,
) -> Result<Option<Result<SessionRow, SessionState>>, DbError> {
    let Some(locked) = lock(tx, id).await? else {
        return Ok(None);
    };
    let is_legal = from.is_none_or(|from| from == locked.state) && locked.state.can_become(next);
    if !is_legal {
        return Ok(Some(Err(locked.state)));
    }
    set_state(tx, id, next, now).await?;
    Ok(read(tx, id, now).await?.map(Ok))
}

fn visibility_name(visibility: SessionVisibility) -> &'static str {
    match visibility {
        SessionVisibility::Public => "public",
        SessionVisibility::Private => "private",
    }
}

fn visibility(text: String) -> Result<SessionVisibility, DbError> {
    match text.as_str() {
        "public" => Ok(SessionVisibility::Public),
        "private" => Ok(SessionVisibility::Private),
        _ => Err(corrupt("sessions.visibility", text)),
    }
}

fn view(text: String) -> Result<SpectatorView, DbError> {
    SpectatorView::parse(&text).ok_or_else(|| corrupt("sessions.spectators_view", text))
}

#[derive(Debug, FromRow)]
struct StoredJoinable {
    #[sqlx(flatten)]
    session: StoredSession,
    display_name: Option<String>,
    own_seat: Option<i64>,
}

#[derive(Debug, FromRow)]
struct StoredSession {
    id: Uuid,
    game: String,
    mode: String,
    name: String,
    region: String,
    state: String,
    visibility: String,
    join_code: Option<String>,
    tags: String,
    players: i64,
    players_max: i64,
    spectators: i64,
    spectators_allowed: bool,
    spectators_view: String,
    spectators_delay_s: i64,
    host_player_id: Uuid,
    match_id: Uuid,
    instance_id: Uuid,
    instance_epoch: i64,
    result_key: Vec<u8>,
    version: i64,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl TryFrom<StoredSession> for SessionRow {
    type Error = DbError;

    fn try_from(row: StoredSession) -> Result<Self, DbError> {
        let session = Session {
            id: SessionId(row.id),
            game: game("sessions.game", row.game)?,
            mode: row.mode,
            name: row.name,
            region: row.region,
            state: state(row.state)?,
            visibility: visibility(row.visibility)?,
            tags: serde_json::from_str(&row.tags)
                .map_err(|_| corrupt("sessions.tags", &row.tags))?,
            players: narrow("seats", row.players)?,
            players_max: narrow("sessions.players_max", row.players_max)?,
            spectators: narrow("sessions.spectators", row.spectators)?,
            spectators_policy: SpectatorsPolicy {
                allowed: row.spectators_allowed,
                view: view(row.spectators_view)?,
                delay_s: narrow("sessions.spectators_delay_s", row.spectators_delay_s)?,
            },
            host_player_id: PlayerId(row.host_player_id),
            match_id: MatchId(row.match_id),
            join_code: row.join_code,
            created_at: time("sessions.created_at_ms", row.created_at_ms)?,
            updated_at: time("sessions.updated_at_ms", row.updated_at_ms)?,
        };
        Ok(Self {
            session,
            instance: InstanceId(row.instance_id),
            epoch: InstanceEpoch(row.instance_epoch.cast_unsigned()),
            result_key: bytes32("sessions.result_key", row.result_key)?,
            version: row.version,
        })
    }
}
