//! What instances report: seats and states of their matches, and sessions whose instance is gone.
//!
//! A report is compared with the database first, so that an unchanged match costs no write.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use gameserver_contract::ids::{InstanceEpoch, InstanceId, MatchId, PlayerId, Seat, SessionId};
use gameserver_contract::session::SessionState;
use sqlx_macros::FromRow;
use uuid::Uuid;

use crate::fleet::report::MatchReport;
use crate::kit::db::DbError;
use crate::kit::db::backend::Tx;
use crate::kit::db::sql::{Sql, Value, narrow};
use crate::sessions::store::SessionsStore;
use crate::sessions::store::records::state;

/// What a report came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// Reported matches that the instance should stop: no live session of its run has them, or
    /// their session was ended and they go on.
    pub(crate) unwanted: Vec<MatchId>,
    /// Who is reported on a seat although their login has ended; the instance should remove them.
    pub(crate) evicted: Vec<(MatchId, PlayerId)>,
    /// Sessions that are not as they were.
    pub(crate) changed: Vec<SessionId>,
}

impl SessionsStore {
    /// Makes the seats and states of an instance's sessions equal to what it reports: reported
    /// seats become taken, taken seats that it no longer reports are freed, reservations stay until
    /// they expire. Illegal state edges are ignored, and so are sessions that are not reported.
    pub(crate) async fn apply_reports(
        &self,
        instance: InstanceId,
        epoch: InstanceEpoch,
        reports: &[MatchReport],
        now: DateTime<Utc>,
    ) -> Result<Applied, DbError> {
        if reports.is_empty() {
            return Ok(Applied::default());
        }
        // Of two reports about one match the later one counts.
        let reports: BTreeMap<MatchId, MatchReport> = reports
            .iter()
            .map(|report| (report.match_id, report.clone()))
            .collect();
        self.0
            .background_transaction(move |tx| Box::pin(apply(tx, instance, epoch, reports, now)))
            .await
    }

    /// Marks every live session of this instance as failed, apart from those of the given run;
    /// returns which. Their seats are free then.
    pub(crate) async fn fail_sessions_of(
        &self,
        instance: InstanceId,
        except: Option<InstanceEpoch>,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionId>, DbError> {
        self.0
            .background_transaction(move |tx| Box::pin(fail(tx, instance, except, now)))
            .await
    }

    /// (instance, epoch) of all live sessions, to find those whose instance is gone.
    pub(crate) async fn instances_with_live_sessions(
        &self,
    ) -> Result<Vec<(InstanceId, InstanceEpoch)>, DbError> {
        let sql = Sql::new(
            "SELECT DISTINCT instance_id, instance_epoch FROM sessions \
             WHERE state NOT IN ('ended', 'failed') ORDER BY instance_id, instance_epoch",
        );
        let rows: Vec<(Uuid, i64)> = self.0.all(sql).await?;
        let run = |(id, epoch): (Uuid, i64)| (InstanceId(id), InstanceEpoch(epoch.cast_unsigned()));
        Ok(rows.into_iter().map(run).collect())
    }
}

async fn apply(
    tx: &mut Tx,
    instance: InstanceId,
    epoch: InstanceEpoch,
    reports: BTreeMap<MatchId, MatchReport>,
    now: DateTime<Utc>,
) -> Result<Applied, DbError> {
    let live = lock_live_sessions(tx, instance, epoch).await?;
    let mut seats = read_seats(tx, instance, epoch, now).await?;
    let mut changes = Changes::default();
    let (mut unwanted, mut evicted) = (Vec::new(), Vec::new());
    for (match_id, report) in reports {
        let Some(session) = live.get(&match_id) else {
            unwanted.push(match_id);
            continue;
        };
        // Said again until the instance has done it: whoever said it first may have died.
        if session.state == SessionState::Ending && !is_ending(report.state) {
            unwanted.push(match_id);
        }
        let known = seats.remove(&session.id).unwrap_or_default();
        let unwelcome = known
            .iter()
            .filter(|seat| seat.evicted && report.seats.contains(&(seat.seat, seat.player)));
        evicted.extend(unwelcome.map(|seat| (match_id, seat.player)));
        changes.compare(session, &known, &report);
    }
    let applied = Applied {
        unwanted,
        evicted,
        changed: changes.sessions.iter().map(|(id, ..)| *id).collect(),
    };
    changes.write(tx, now).await?;
    Ok(applied)
}

/// True for a match that is ending by itself, or gone.
fn is_ending(reported: SessionState) -> bool {
    reported == SessionState::Ending || reported.is_final()
}

/// A session as it stood before the report.
#[derive(Debug)]
struct LiveSession {
    id: SessionId,
    state: SessionState,
    spectators: u32,
    host: Host,
}

/// Who the host is, and whether they have had a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Host {
    player: PlayerId,
    has_sat: bool,
}

/// Locks in the order of the ids, like everybody who locks several sessions.
async fn lock_live_sessions(
    tx: &mut Tx,
    instance: InstanceId,
    epoch: InstanceEpoch,
) -> Result<BTreeMap<MatchId, LiveSession>, DbError> {
    let sql = Sql::locking(
        "SELECT id, match_id, state, spectators, host_player_id, host_seated FROM sessions \
         WHERE instance_id = $1 AND instance_epoch = $2 AND state NOT IN ('ended', 'failed') \
         ORDER BY id",
    );
    let rows: Vec<StoredLive> = tx.all(sql.bind(instance).bind(epoch)).await?;
    let live = rows.into_iter().map(|row| {
        let session = LiveSession {
            id: SessionId(row.id),
            state: state(row.state)?,
            spectators: narrow("sessions.spectators", row.spectators)?,
            host: Host {
                player: PlayerId(row.host_player_id),
                has_sat: row.host_seated,
            },
        };
        Ok((MatchId(row.match_id), session))
    });
    live.collect()
}

#[derive(Debug, FromRow)]
struct StoredLive {
    id: Uuid,
    match_id: Uuid,
    state: String,
    spectators: i64,
    host_player_id: Uuid,
    host_seated: bool,
}

#[derive(Debug, FromRow)]
struct StoredSeat {
    session_id: Uuid,
    seat: i64,
    player_id: Uuid,
    held_until_ms: Option<i64>,
    evicted: bool,
}

/// A seat as it stood before the report.
#[derive(Debug, Clone, Copy)]
struct KnownSeat {
    seat: Seat,
    player: PlayerId,
    taken: bool,
    /// It is held for its player, who has still to come.
    awaited: bool,
    evicted: bool,
}

async fn read_seats(
    tx: &mut Tx,
    instance: InstanceId,
    epoch: InstanceEpoch,
    now: DateTime<Utc>,
) -> Result<BTreeMap<SessionId, Vec<KnownSeat>>, DbError> {
    let sql = Sql::new(
        "SELECT seats.session_id, seats.seat, seats.player_id, seats.held_until_ms, \
         seats.evicted \
         FROM seats JOIN sessions AS s ON s.id = seats.session_id \
         WHERE s.instance_id = $1 AND s.instance_epoch = $2 \
         AND s.state NOT IN ('ended', 'failed')",
    );
    let rows: Vec<StoredSeat> = tx.all(sql.bind(instance).bind(epoch)).await?;
    let mut seats: BTreeMap<SessionId, Vec<KnownSeat>> = BTreeMap::new();
    for row in rows {
        let seat = Seat(narrow("seats.seat", row.seat)?);
        let player = PlayerId(row.player_id);
        let known = KnownSeat {
            seat,
            player,
            taken: row.held_until_ms.is_none(),
            awaited: row
                .held_until_ms
                .is_some_and(|until_ms| until_ms > now.timestamp_millis()),
            evicted: row.evicted,
        };
        seats
            .entry(SessionId(row.session_id))
            .or_default()
            .push(known);
    }
    Ok(seats)
}

/// What must be written to make the database equal to the reports.
#[derive(Debug, Default)]
struct Changes {
    sessions: Vec<(SessionId, SessionState, u32, Host)>,
    freed: Vec<(SessionId, Seat)>,
    taken: Vec<(SessionId, Seat, PlayerId)>,
}

impl Changes {
    fn compare(&mut self, session: &LiveSession, known: &[KnownSeat], report: &MatchReport) {
        let legal = session.state.can_become(report.state);
        let state = if legal { report.state } else { session.state };
        let wanted = if state.is_final() {
            BTreeMap::new()
        } else {
            sitting(report)
        };
        let host = host_after(session.host, known, &wanted);
        let written_before = self.freed.len() + self.taken.len();
        let stays = |seat: &&KnownSeat| !state.is_final() && stays(seat, &wanted);
        let freed = known.iter().filter(|seat| !stays(seat));
        self.freed.extend(freed.map(|seat| (session.id, seat.seat)));
        let taken: BTreeSet<(Seat, PlayerId)> = known
            .iter()
            .filter(|seat| seat.taken)
            .map(|seat| (seat.seat, seat.player))
            .collect();
        let new = wanted
            .into_iter()
            .filter(|sitting| !taken.contains(sitting));
        self.taken
            .extend(new.map(|(seat, player)| (session.id, seat, player)));
        let seats_changed = self.freed.len() + self.taken.len() > written_before;
        let is_as_it_was =
            (state, report.spectators, host) == (session.state, session.spectators, session.host);
        if seats_changed || !is_as_it_was {
            let changed = (session.id, state, report.spectators, host);
            self.sessions.push(changed);
        }
    }

    /// Frees first, so that a player may change seats.
    async fn write(self, tx: &mut Tx, now: DateTime<Utc>) -> Result<(), DbError> {
        let freed = self
            .freed
            .into_iter()
            .map(|(id, seat)| [Value::from(id), seat.into()]);
        let head = "DELETE FROM seats WHERE (session_id, seat) IN (VALUES";
        tx.execute_each(Sql::with_rows(head, freed.collect(), ")"))
            .await?;

        let taken = self
            .taken
            .into_iter()
            .map(|(id, seat, player)| [Value::from(id), seat.into(), player.into()]);
        let head = "INSERT INTO seats (session_id, seat, player_id) VALUES";
        let tail = "ON CONFLICT (session_id, seat) DO UPDATE SET held_until_ms = NULL";
        tx.execute_each(Sql::with_rows(head, taken.collect(), tail))
            .await?;

        let sessions = self
            .sessions
            .into_iter()
            .map(|(id, state, spectators, host)| {
                [
                    Value::from(id),
                    state.as_str().into(),
                    spectators.into(),
                    now.into(),
                    host.player.into(),
                    host.has_sat.into(),
                ]
            });
        let head = "UPDATE sessions SET state = report.column2, spectators = report.column3, \
                    updated_at_ms = report.column4, host_player_id = report.column5, \
                    host_seated = report.column6, version = version + 1 FROM (VALUES";
        let tail = ") AS report WHERE sessions.id = report.column1";
        tx.execute_each(Sql::with_rows(head, sessions.collect(), tail))
            .await
    }
}

/// Who sits where, each seat and each player once.
fn sitting(report: &MatchReport) -> BTreeMap<Seat, PlayerId> {
    let mut players = BTreeSet::new();
    let mut sitting = BTreeMap::new();
    for (seat, player) in &report.seats {
        if !sitting.contains_key(seat) && players.insert(*player) {
            sitting.insert(*seat, *player);
        }
    }
    sitting
}

/// A host who has been there, and has neither a seat nor a hold any more, is followed by whoever is
/// present on the lowest seat; nobody there, nobody follows yet.
fn host_after(host: Host, known: &[KnownSeat], wanted: &BTreeMap<Seat, PlayerId>) -> Host {
    let sits = wanted.values().any(|player| *player == host.player);
    let is_awaited = known
        .iter()
        .any(|seat| seat.awaited && seat.player == host.player);
    match wanted.values().next() {
        _ if sits => Host {
            has_sat: true,
            ..host
        },
        Some(next) if host.has_sat && !is_awaited => Host {
            player: *next,
            has_sat: true,
        },
        Some(_) | None => host,
    }
}

/// A taken seat stays while it is reported; a hold stays unless the report seats its player
/// elsewhere or somebody else on it.
fn stays(known: &KnownSeat, wanted: &BTreeMap<Seat, PlayerId>) -> bool {
    match wanted.get(&known.seat) {
        Some(player) => *player == known.player,
        None => !known.taken && !wanted.values().any(|player| *player == known.player),
    }
}

async fn fail(
    tx: &mut Tx,
    instance: InstanceId,
    except: Option<InstanceEpoch>,
    now: DateTime<Utc>,
) -> Result<Vec<SessionId>, DbError> {
    let lock = Sql::locking(
        "SELECT id FROM sessions WHERE instance_id = $1 AND state NOT IN ('ended', 'failed') \
         AND ($2 IS NULL OR instance_epoch <> $2) ORDER BY id",
    );
    let lost: Vec<(Uuid,)> = tx.all(lock.bind(instance).bind(except)).await?;
    let ids = || lost.iter().map(|(id,)| [Value::from(*id)]).collect();
    let seats = Sql::with_rows("DELETE FROM seats WHERE session_id IN (VALUES", ids(), ")");
    tx.execute_each(seats).await?;
    let rows = lost
        .iter()
        .map(|(id,)| [Value::from(*id), now.into()])
        .collect();
    let head = "UPDATE sessions SET state = 'failed', version = version + 1, \
                updated_at_ms = lost.column2 FROM (VALUES";
    let tail = ") AS lost WHERE sessions.id = lost.column1";
    tx.execute_each(Sql::with_rows(head, rows, tail)).await?;
    Ok(lost.into_iter().map(|(id,)| SessionId(id)).collect())
}
