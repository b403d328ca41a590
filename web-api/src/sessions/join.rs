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
use crate::kit::db::idempotency::RecordedResponse;
use crate::kit::idempotency::IdempotentRequest;
use crate::sessions::error::Error;
use crate::sessions::store::records::SessionRow;
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
        let row = self.session_to_join(id, player, code).await?;
        if !row.session.state.is_joinable() {
            return Err(Error::NotJoinable(row.session.state));
        }
        let watch = spectators::grant(&row.session, join)?;
        let instance = self.instance_of(&row).await?.ok_or(Error::InstanceLost)?;
        // Sooner than the session's record says so: the instance would refuse the ticket.
        if instance.load.draining {
            return Err(Error::NotJoinable(SessionState::Draining));
        }
        self.check_time(&row, &instance, player, join.role).await?;
        let display_name = self.accounts.me(player).await?.player.display_name;
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
        };
        self.reserve(joiner, now, grant).await
    }

    /// Refuses whom the instance would refuse, before anything is written. Whoever has a seat may
    /// come back to it.
    async fn check_time(
        &self,
        row: &SessionRow,
        instance: &InstanceRecord,
        player: PlayerId,
        role: Role,
    ) -> Result<(), Error> {
        let session = &row.session;
        if !instance.refuses(session.match_id, role) {
            return Ok(());
        }
        let seat = match role {
            Role::Player => {
                self.store
                    .seat_of(session.id, player, self.kit.now())
                    .await?
            }
            Role::Spectator => None,
        };
        if seat.is_some() {
            return Ok(());
        }
        metrics::counter!("gs_shed_total", "class" => role.as_str()).increment(1);
        Err(Error::Overloaded)
    }

    /// Holds the seat and answers; the key, if there is one, in the same transaction.
    async fn reserve(
        &self,
        joiner: Joiner<'_>,
        now: DateTime<Utc>,
        grant: Grant,
    ) -> Result<RecordedResponse, Error> {
        let session = grant.ticket.session;
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
            None => match self.store.reserve_seat(seat_request).await? {
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
