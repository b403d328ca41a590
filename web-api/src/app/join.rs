//! Joining a session: the right, the seat, the ticket.

use std::time::Duration;

use chrono::{DateTime, Utc};
use gameserver_contract::entropy::random_bytes;
use gameserver_contract::ids::{PlayerId, Seat, SessionId};
use gameserver_contract::session::{JoinAnswer, JoinSession, Role};
use gameserver_contract::ticket::{JoinTicket, TICKET_VERSION};
use gameserver_contract::watch::Watch;

use super::{App, Error, spectators};
use crate::config::SEAT_HOLD;
use crate::fleet::InstanceRecord;
use crate::store::{Reservation, SeatWish, SessionRow};

impl App {
    /// Holds a seat for a player (none for a spectator) and signs the ticket for it.
    pub(crate) async fn join_session(
        &self,
        id: SessionId,
        player: PlayerId,
        join: &JoinSession,
    ) -> Result<JoinAnswer, Error> {
        let answer = self.try_join(id, player, join).await;
        let outcome = match &answer {
            Ok(_) => "joined",
            Err(Error::SessionFull) => "full",
            Err(Error::Overloaded) => "overloaded",
            Err(_) => "refused",
        };
        metrics::counter!("gs_joins_total", "outcome" => outcome).increment(1);
        answer
    }

    async fn try_join(
        &self,
        id: SessionId,
        player: PlayerId,
        join: &JoinSession,
    ) -> Result<JoinAnswer, Error> {
        let code = join.join_code.as_deref();
        let row = self.session_to_join(id, player, code).await?;
        if !row.session.state.is_joinable() {
            return Err(Error::NotJoinable(row.session.state));
        }
        let watch = spectators::grant(&row.session, join)?;
        let instance = self.instance_of(&row).await?.ok_or(Error::InstanceLost)?;
        self.check_time(&row, &instance, player, join.role).await?;
        let display_name = self.me(player).await?.player.display_name;
        let now = self.now();
        let hold = Hold {
            player,
            display_name,
            role: join.role,
            watch,
            now,
            until: now + SEAT_HOLD,
        };
        let seat = self.reserve(id, &hold).await?;
        Ok(self.join_answer(&row, &instance, hold, seat))
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
            Role::Player => self.store.seat_of(session.id, player, self.now()).await?,
            Role::Spectator => None,
        };
        if seat.is_some() {
            return Ok(());
        }
        metrics::counter!("gs_shed_total", "class" => role.as_str()).increment(1);
        Err(Error::Overloaded)
    }

    async fn reserve(&self, session: SessionId, hold: &Hold) -> Result<Option<Seat>, Error> {
        let wish = SeatWish {
            session,
            player: hold.player,
            role: hold.role,
            now: hold.now,
            held_until: hold.until,
        };
        match self.store.reserve_seat(wish).await? {
            Reservation::Held(None) => Ok(None),
            Reservation::Held(seat) => {
                self.tell_changed(&[session]).await;
                Ok(seat)
            }
            Reservation::Full => Err(Error::SessionFull),
            Reservation::NotJoinable(state) => Err(Error::NotJoinable(state)),
            Reservation::NotFound => Err(Error::SessionNotFound),
        }
    }

    fn join_answer(
        &self,
        row: &SessionRow,
        instance: &InstanceRecord,
        hold: Hold,
        seat: Option<Seat>,
    ) -> JoinAnswer {
        let ticket = JoinTicket {
            version: TICKET_VERSION,
            id: random_bytes(&*self.entropy),
            player: hold.player,
            display_name: hold.display_name,
            session: row.session.id,
            match_id: row.session.match_id,
            seat,
            role: hold.role,
            watch: hold.watch,
            instance: row.instance,
            epoch: row.epoch,
            issued_at_ms: hold.now.timestamp_millis(),
            expires_at_ms: hold.until.timestamp_millis(),
        };
        JoinAnswer {
            ticket: self.tickets.sign(&ticket),
            seat,
            role: hold.role,
            view: hold.watch.map(|watch| watch.view),
            team: hold.watch.and_then(|watch| watch.team),
            delay_s: hold.watch.map(|watch| watch.delay_s),
            transports: instance.transports.clone(),
            expires_at: hold.until,
        }
    }
}

/// Who a seat is held for, and until when.
struct Hold {
    player: PlayerId,
    display_name: String,
    role: Role,
    watch: Option<Watch>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// A ticket must not outlive what instances accept.
const _: () = assert!(
    SEAT_HOLD.as_millis() <= gameserver_contract::ticket::LIFETIME_MS_MAX as u128
        && SEAT_HOLD.as_millis() >= Duration::from_secs(1).as_millis()
);
