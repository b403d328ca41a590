//! Seats: held for a player until the reservation ends, taken once the instance has seen them.
//!
//! A session's row is locked before one of its seats changes, so that two requests are granted one
//! after the other. A hold that has ended counts as free everywhere, swept or not.

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{PlayerId, Seat, SessionId};
use gameserver_contract::session::{Role, SessionState};
use uuid::Uuid;

use crate::kit::db::backend::Tx;
use crate::kit::db::idempotency::{Claim, IdempotencyKey, IdempotencyRecord, RecordedResponse};
use crate::kit::db::sql::{Sql, narrow};
use crate::kit::db::{DbError, idempotency};
use crate::sessions::store::SessionsStore;
use crate::sessions::store::records::{lock, touch};

/// A request for a seat.
#[derive(Debug, Clone)]
pub(crate) struct SeatRequest {
    /// Where.
    pub(crate) session: SessionId,
    /// Who.
    pub(crate) player: PlayerId,
    /// Play or watch.
    pub(crate) role: Role,
    /// The login that the request was made with: when it ends, so does the seat.
    pub(crate) login: Option<Uuid>,
    /// When the request is made.
    pub(crate) now: DateTime<Utc>,
    /// The reservation ends here unless the instance reports the seat as taken.
    pub(crate) held_until: DateTime<Utc>,
}

/// What became of a request for a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reservation {
    /// The seat is held; `None` for a spectator, who takes none. A player who asks again gets the
    /// seat that they hold already, held anew.
    Held(Option<Seat>),
    /// Every seat is taken or on hold.
    Full,
    /// Nobody may join in this state.
    NotJoinable(SessionState),
    /// There is no such session.
    NotFound,
}

/// Writes down what the request for a seat is answered; `None` stands for a spectator's.
pub(crate) type AnswerSeat = Box<dyn FnOnce(Option<Seat>) -> RecordedResponse + Send>;

/// What became of a request for a seat that came with a key.
#[derive(Debug)]
pub(crate) enum KeyedReservation {
    /// It is granted, with this answer.
    Held(RecordedResponse),
    /// The request was made before.
    Known(IdempotencyRecord),
    /// It is not granted; the key stands for nothing.
    Refused(Reservation),
}

impl SessionsStore {
    /// Holds a seat in one transaction: expired holds are dropped first, the lowest free seat is
    /// given, never one seat twice. A taken seat that is asked for again becomes a hold, so that it
    /// outlasts the old connection as long as the new ticket is good.
    pub(crate) async fn reserve_seat(&self, request: SeatRequest) -> Result<Reservation, DbError> {
        self.0
            .transaction(move |tx| Box::pin(reserve(tx, request)))
            .await
    }

    /// Holds a seat in one statement, for a player who had none in the session of that version.
    /// `None` when nothing was held: the version is another one by now, a hold has ended, the
    /// session is full or not joinable, or the database is at hand anyway. Then
    /// [`SessionsStore::reserve_seat`] decides.
    ///
    /// Every change that takes a seat counts the version up. So the seats that the statement sees
    /// are those of the version that it requires once it has the row to itself.
    pub(crate) async fn reserve_seat_at(
        &self,
        version: i64,
        request: &SeatRequest,
    ) -> Result<Option<Seat>, DbError> {
        if !self.0.is_remote() || request.role != Role::Player {
            return Ok(None);
        }
        let sql = Sql::new(RESERVE_AT_VERSION)
            .bind(request.session)
            .bind(version)
            .bind(request.player)
            .bind(request.held_until)
            .bind(request.now)
            .bind(request.login);
        self.0.write(sql).await?.map(seat).transpose()
    }

    /// [`SessionsStore::reserve_seat`] for a request with a key, which is claimed in that
    /// transaction: the key and the seat are both kept or neither is.
    pub(crate) async fn reserve_seat_once(
        &self,
        request: SeatRequest,
        key: IdempotencyKey,
        answer: AnswerSeat,
    ) -> Result<KeyedReservation, DbError> {
        self.0
            .transaction(move |tx| Box::pin(reserve_once(tx, request, key, answer)))
            .await
    }

    /// Gives a player's seat back, and their place as the host to somebody who is present. True
    /// when the session is not as it was.
    pub(crate) async fn release_seat(
        &self,
        session: SessionId,
        player: PlayerId,
        now: DateTime<Utc>,
    ) -> Result<bool, DbError> {
        self.0
            .transaction(move |tx| Box::pin(release(tx, session, player, now)))
            .await
    }

    /// The seat that a player holds or has reserved in a session.
    pub(crate) async fn seat_of(
        &self,
        session: SessionId,
        player: PlayerId,
        now: DateTime<Utc>,
    ) -> Result<Option<Seat>, DbError> {
        let sql = Sql::new(
            "SELECT seat FROM seats WHERE session_id = $1 AND player_id = $2 \
             AND (held_until_ms IS NULL OR held_until_ms > $3)",
        );
        let row = self
            .0
            .optional(sql.bind(session).bind(player).bind(now))
            .await?;
        row.map(seat).transpose()
    }
}

/// PostgreSQL only: SQLite writes nothing within `WITH`. The session's row is locked by its update,
/// and its version is looked at again once the lock is there.
const RESERVE_AT_VERSION: &str = "\
    WITH lowest AS (\
        SELECT MIN(free.seat) AS seat FROM (\
            SELECT CAST(0 AS BIGINT) AS seat \
            UNION ALL SELECT seat + 1 FROM seats WHERE session_id = $1) AS free \
        WHERE NOT EXISTS (SELECT 1 FROM seats AS used \
                          WHERE used.session_id = $1 AND used.seat = free.seat)), \
    granted AS (\
        UPDATE sessions SET version = version + 1, updated_at_ms = $5 FROM lowest \
        WHERE id = $1 AND version = $2 AND state IN ('filling', 'starting', 'running') \
        AND lowest.seat < players_max \
        AND NOT EXISTS (SELECT 1 FROM seats WHERE session_id = $1 \
                        AND (player_id = $3 OR held_until_ms <= $5)) \
        RETURNING lowest.seat) \
    INSERT INTO seats (session_id, seat, player_id, held_until_ms, login_id) \
    SELECT $1, granted.seat, $3, $4, $6 FROM granted RETURNING seat";

async fn reserve(tx: &mut Tx, request: SeatRequest) -> Result<Reservation, DbError> {
    let Some(session) = lock(tx, request.session).await? else {
        return Ok(Reservation::NotFound);
    };
    if !session.state.is_joinable() {
        return Ok(Reservation::NotJoinable(session.state));
    }
    if request.role == Role::Spectator {
        return Ok(Reservation::Held(None));
    }
    drop_expired_holds(tx, request.session, request.now).await?;
    let held = match hold_again(tx, &request).await? {
        Some(seat) => Some(seat),
        None => hold_lowest(tx, &request, session.players_max).await?,
    };
    let Some(seat) = held else {
        return Ok(Reservation::Full);
    };
    touch(tx, request.session, request.now).await?;
    Ok(Reservation::Held(Some(seat)))
}

async fn reserve_once(
    tx: &mut Tx,
    request: SeatRequest,
    key: IdempotencyKey,
    answer: AnswerSeat,
) -> Result<KeyedReservation, DbError> {
    if let Claim::Known(record) = idempotency::claim(tx, &key, None).await? {
        return Ok(KeyedReservation::Known(record));
    }
    match reserve(tx, request).await? {
        Reservation::Held(seat) => {
            let answer = answer(seat);
            idempotency::answer(tx, &key, &answer).await?;
            Ok(KeyedReservation::Held(answer))
        }
        refused @ (Reservation::Full | Reservation::NotJoinable(_) | Reservation::NotFound) => {
            idempotency::give_back(tx, &key).await?;
            Ok(KeyedReservation::Refused(refused))
        }
    }
}

async fn drop_expired_holds(
    tx: &mut Tx,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = Sql::new("DELETE FROM seats WHERE session_id = $1 AND held_until_ms <= $2");
    tx.execute(sql.bind(session).bind(now)).await.map(drop)
}

async fn hold_again(tx: &mut Tx, request: &SeatRequest) -> Result<Option<Seat>, DbError> {
    let sql = Sql::new(
        "UPDATE seats SET held_until_ms = $3, login_id = $4, evicted = FALSE \
         WHERE session_id = $1 AND player_id = $2 \
         RETURNING seat",
    );
    let row = tx
        .optional(
            sql.bind(request.session)
                .bind(request.player)
                .bind(request.held_until)
                .bind(request.login),
        )
        .await?;
    row.map(seat).transpose()
}

/// The lowest free seat is 0 or follows one in use.
async fn hold_lowest(
    tx: &mut Tx,
    request: &SeatRequest,
    players_max: u16,
) -> Result<Option<Seat>, DbError> {
    let sql = Sql::new(
        "INSERT INTO seats (session_id, seat, player_id, held_until_ms, login_id) \
         SELECT $1, lowest.seat, $2, $3, $5 FROM (\
             SELECT MIN(free.seat) AS seat FROM (\
                 SELECT CAST(0 AS BIGINT) AS seat \
                 UNION ALL SELECT seat + 1 FROM seats WHERE session_id = $1) AS free \
             WHERE NOT EXISTS (SELECT 1 FROM seats AS used \
                               WHERE used.session_id = $1 AND used.seat = free.seat)) AS lowest \
         WHERE lowest.seat < $4 RETURNING seat",
    );
    let sql = sql
        .bind(request.session)
        .bind(request.player)
        .bind(request.held_until)
        .bind(players_max)
        .bind(request.login);
    let row = tx.optional(sql).await?;
    row.map(seat).transpose()
}

async fn release(
    tx: &mut Tx,
    session: SessionId,
    player: PlayerId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let Some(locked) = lock(tx, session).await? else {
        return Ok(false);
    };
    drop_expired_holds(tx, session, now).await?;
    let sql = Sql::new("DELETE FROM seats WHERE session_id = $1 AND player_id = $2");
    let had_one = tx.execute(sql.bind(session).bind(player)).await? > 0;
    let is_host = locked.host == player && !locked.state.is_final();
    let passed_on = is_host && pass_host_on(tx, session).await?;
    if had_one || passed_on {
        touch(tx, session, now).await?;
    }
    Ok(had_one || passed_on)
}

/// The host has left: whoever is present on the lowest seat is the host from now on. True when
/// there is somebody. Otherwise the host stays until a report names somebody who is present.
async fn pass_host_on(tx: &mut Tx, session: SessionId) -> Result<bool, DbError> {
    let next = Sql::new(
        "UPDATE sessions SET host_seated = TRUE, host_player_id = (\
             SELECT player_id FROM seats WHERE session_id = $1 AND held_until_ms IS NULL \
             ORDER BY seat LIMIT 1) \
         WHERE id = $1 AND EXISTS (\
             SELECT 1 FROM seats WHERE session_id = $1 AND held_until_ms IS NULL)",
    );
    if tx.execute(next.bind(session)).await? > 0 {
        return Ok(true);
    }
    let nobody = Sql::new("UPDATE sessions SET host_seated = TRUE WHERE id = $1");
    tx.execute(nobody.bind(session)).await?;
    Ok(false)
}

fn seat((seat,): (i64,)) -> Result<Seat, DbError> {
    narrow("seats.seat", seat).map(Seat)
}
