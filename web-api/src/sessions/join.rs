//! Joining a session: the right, the seat, the ticket.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gameserver_contract::entropy::random_bytes;
use gameserver_contract::ids::{PlayerId, Seat, SessionId};
use gameserver_contract::session::{JoinResponse, JoinSession, Role, SessionState, TransportOffer};
use gameserver_contract::ticket::{JoinTicket, TICKET_VERSION, TicketSigner};
use uuid::Uuid;

use crate::config::SEAT_HOLD;
use crate::fleet::InstanceRecord;
use crate::kit::db::DbError;
use crate::kit::db::idempotency::RecordedResponse;
use crate::kit::error::KitError;
use crate::kit::idempotency::IdempotentRequest;
use crate::sessions::error::Error;
use crate::sessions::store::records::Joinable;
use crate::sessions::store::seats::{KeyedReservation, Reservation, SeatRequest};
use crate::sessions::{Sessions, spectators};

/// Who joins, and how they are answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joiner<'a> {
    pub(crate) player: PlayerId,
    pub(crate) login: Option<Uuid>,
    pub(crate) request: Option<&'a IdempotentRequest>,
    pub(crate) answer: fn(&JoinResponse) -> RecordedResponse,
}

impl Sessions {
    /// Holds a seat for a player (none for a spectator) and signs the ticket for it.
    pub(crate) async fn join_session(
        &self,
        id: SessionId,
        joiner: Joiner<'_>,
        join: &JoinSession,
    ) -> Result<RecordedResponse, Error> {
        let answer = self.try_join(id, joiner, join).await;
        let outcome = match &answer {
            Ok(_) => "joined",
            Err(Error::Full) => "full",
            Err(Error::Overloaded) => "overloaded",
            Err(_) => "refused",
        };
        metrics::counter!("gs_joins_total", "outcome" => outcome).increment(1);
        answer
    }

    async fn try_join(
        &self,
        id: SessionId,
        joiner: Joiner<'_>,
        join: &JoinSession,
    ) -> Result<RecordedResponse, Error> {
        if let Some(request) = joiner.request
            && let Some(record) = self.kit.recall_request(request).await?
        {
            return Ok(record.answer);
        }
        let player = joiner.player;
        let code = join.join_code.as_deref();
        let found = self.session_to_join(id, player, code).await?;
        let row = &found.row;
        if !row.session.state.is_joinable() {
            return Err(Error::NotJoinable(row.session.state));
        }
        let watch = spectators::grant(&row.session, join)?;
        let instance = self
            .instance_of_lately(row)
            .await?
            .ok_or(Error::InstanceLost)?;
        // Sooner than the session's record says so: the instance would refuse the ticket.
        if instance.load.draining {
            return Err(Error::NotJoinable(SessionState::Draining));
        }
        check_time(&found, &instance, join.role)?;
        let display_name = found.display_name.ok_or(KitError::LoginEnded)?;
        let now = self.kit.now();
        let grant = Grant {
            ticket: JoinTicket {
                version: TICKET_VERSION,
                id: random_bytes(&*self.kit.entropy),
                player,
                display_name,
                session: id,
                match_id: row.session.match_id,
                seat: None,
                role: join.role,
                watch,
                instance: row.instance,
                epoch: row.epoch,
                issued_at_ms: now.timestamp_millis(),
                expires_at_ms: (now + SEAT_HOLD).timestamp_millis(),
            },
            transports: instance.transports,
            expires_at: now + SEAT_HOLD,
            signer: self.tickets.clone(),
            version: row.version,
        };
        self.reserve(joiner, now, grant).await
    }

    /// Holds the seat and answers; the key, if there is one, in the same transaction.
    async fn reserve(
        &self,
        joiner: Joiner<'_>,
        now: DateTime<Utc>,
        grant: Grant,
    ) -> Result<RecordedResponse, Error> {
        let (session, version) = (grant.ticket.session, grant.version);
        let seat_request = SeatRequest {
            session,
            player: joiner.player,
            role: grant.ticket.role,
            login: joiner.login,
            now,
            held_until: grant.expires_at,
        };
        let to_answer = joiner.answer;
        let answer = move |seat| to_answer(&grant.answer(seat));
        let is_player = seat_request.role == Role::Player;
        let answer = match joiner.request {
            None => match self.hold_seat(version, seat_request).await? {
                Reservation::Held(seat) => answer(seat),
                refused @ (Reservation::Full
                | Reservation::NotJoinable(_)
                | Reservation::NotFound) => return Err(refusal(&refused)),
            },
            Some(request) => {
                let key = self.kit.idempotency_key(request);
                let reserved = self
                    .store
                    .reserve_seat_once(seat_request, key, Box::new(answer));
                match reserved.await? {
                    KeyedReservation::Held(answer) => answer,
                    KeyedReservation::Known(record) => {
                        return Ok(IdempotentRequest::check(Some(request), record)?.answer);
                    }
                    KeyedReservation::Refused(refused) => return Err(refusal(&refused)),
                }
            }
        };
        if is_player {
            self.announce(&[session]).await;
        }
        Ok(answer)
    }

    /// In one statement where it can be done, else in a transaction.
    async fn hold_seat(&self, version: i64, request: SeatRequest) -> Result<Reservation, DbError> {
        match self.store.reserve_seat_at(version, &request).await? {
            Some(seat) => Ok(Reservation::Held(Some(seat))),
            None => self.store.reserve_seat(request).await,
        }
    }
}

/// Refuses whom the instance would refuse, before anything is written. Whoever has a seat may come
/// back to it.
fn check_time(found: &Joinable, instance: &InstanceRecord, role: Role) -> Result<(), Error> {
    let comes_back = role == Role::Player && found.has_seat;
    if comes_back || !instance.refuses(found.row.session.match_id, role) {
        return Ok(());
    }
    metrics::counter!("gs_shed_total", "class" => role.as_str()).increment(1);
    Err(Error::Overloaded)
}

fn refusal(reservation: &Reservation) -> Error {
    match reservation {
        Reservation::NotJoinable(state) => Error::NotJoinable(*state),
        Reservation::NotFound => Error::NotFound,
        Reservation::Full | Reservation::Held(_) => Error::Full,
    }
}

/// The right to join, but for the seat.
struct Grant {
    ticket: JoinTicket,
    transports: Vec<TransportOffer>,
    expires_at: DateTime<Utc>,
    signer: TicketSigner,
    /// Of the session that was read.
    version: i64,
}

impl Grant {
    fn answer(self, seat: Option<Seat>) -> JoinResponse {
        let ticket = JoinTicket {
            seat,
            ..self.ticket
        };
        JoinResponse {
            ticket: self.signer.sign(&ticket),
            seat,
            role: ticket.role,
            view: ticket.watch.map(|watch| watch.view),
            team: ticket.watch.and_then(|watch| watch.team),
            delay_s: ticket.watch.map(|watch| watch.delay_s),
            transports: self.transports,
            expires_at: self.expires_at,
        }
    }
}

/// A ticket must not outlive what instances accept.
const _: () = assert!(
    SEAT_HOLD.as_millis() <= gameserver_contract::ticket::LIFETIME_MS_MAX as u128
        && SEAT_HOLD.as_millis() >= Duration::from_secs(1).as_millis()
);
