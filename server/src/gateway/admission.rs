//! Who may enter, decided without asking anybody: a join ticket that web-api signed, or the
//! resume token of a seat that is held here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gameserver_contract::clock::SharedClock;
use gameserver_contract::entropy::{SharedEntropy, random_bytes};
use gameserver_contract::ids::{MatchId, PlayerId, Seat};
use gameserver_contract::session::Role;
use gameserver_contract::spectator;
use gameserver_contract::ticket::{JoinTicket, TicketError, TicketVerifier};
use gameserver_shared::protocol::PACKET_BYTES_MAX;
use gameserver_shared::stream::broadcast::View;
use gameserver_transport::close::RefusalCode;
use gameserver_transport::frame::{Credential, Hello, Mode, Refused, Welcome};
use gameserver_transport::limits;

use super::resume_token::ResumeToken;
use super::tickets::{Use, UsedTickets};
use crate::host::{Board, MatchFacts, RETRY_AFTER, SeatClaim, SeatHolder, Watch};
use crate::telemetry;

/// Decides about arrivals.
#[derive(Debug)]
pub struct Admission {
    board: Arc<Board>,
    clock: SharedClock,
    entropy: SharedEntropy,
    /// None until web-api has told its keys.
    verifier: RwLock<Option<TicketVerifier>>,
    used: UsedTickets,
    players_max: usize,
    connections: AtomicU64,
}

/// Somebody who may enter.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) match_id: MatchId,
    pub(super) player: PlayerId,
    pub(super) display_name: String,
    pub(super) place: Place,
    pub(super) role: Role,
    /// What a spectator sees; none for players.
    pub(super) welcome: Welcome,
}

/// Where somebody is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// They play.
    Seat(Seat),
    /// They watch.
    Audience(Watch),
}

impl Admission {
    /// Decides for the matches on this board.
    #[must_use]
    pub fn new(
        board: Arc<Board>,
        clock: SharedClock,
        entropy: SharedEntropy,
        players_max: usize,
    ) -> Self {
        Self {
            board,
            clock,
            entropy,
            verifier: RwLock::new(None),
            used: UsedTickets::default(),
            players_max,
            connections: AtomicU64::new(0),
        }
    }

    /// Takes the keys that tickets are signed with.
    pub fn set_verifier(&self, verifier: TicketVerifier) {
        *self
            .verifier
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(verifier);
    }

    pub(super) fn decide(&self, hello: &Hello) -> Result<Admitted, RefusalCode> {
        match &hello.credential {
            // Those who play already may come back to their seat until the match is over.
            Credential::Ticket(_) if self.board.is_draining() => Err(RefusalCode::Draining),
            Credential::Ticket(text) => self.admit_ticket(text, hello),
            Credential::Resume(text) => self.resume(text),
        }
    }

    fn admit_ticket(&self, text: &str, hello: &Hello) -> Result<Admitted, RefusalCode> {
        let now_ms = self.clock.now_ms();
        let ticket = self.verify(text, now_ms)?;
        // Before the ticket is spent: a client that learns this may update and come back.
        let facts = self.board.facts(ticket.match_id);
        let differs = facts.is_some_and(|facts| facts.fingerprint != hello.fingerprint);
        // Watching is for thin clients: what they are sent was encoded once for all of them.
        let watches = matches!((ticket.role, ticket.watch), (Role::Spectator, Some(_)));
        if hello.mode == Mode::Native && (differs || (watches && ticket.seat.is_none())) {
            return Err(RefusalCode::ProtocolMismatch);
        }
        // Likewise: the ticket is good for another try while it lives.
        let JoinTicket {
            match_id,
            player,
            role,
            ..
        } = ticket;
        if self.board.is_overloaded_for(match_id, player, role) {
            telemetry::shed(role);
            return Err(RefusalCode::Overloaded);
        }
        if role == Role::Player && self.board.players() >= self.players_max {
            return Err(RefusalCode::Busy);
        }
        match self.used.mark(&ticket, now_ms) {
            Use::First => {}
            Use::Repeated => return Err(RefusalCode::TicketUsed),
            Use::Full => return Err(RefusalCode::Busy),
        }
        match (ticket.role, ticket.seat, ticket.watch) {
            (Role::Player, Some(seat), None) => self.seat_player(ticket, seat),
            (Role::Spectator, None, Some(watch)) => self.admit_spectator(ticket, watch),
            (Role::Player | Role::Spectator, _, _) => Err(RefusalCode::TicketMalformed),
        }
    }

    fn verify(&self, text: &str, now_ms: i64) -> Result<JoinTicket, RefusalCode> {
        let verifier = self.verifier.read().unwrap_or_else(PoisonError::into_inner);
        let verifier = verifier.as_ref().ok_or(RefusalCode::Busy)?;
        verifier.verify(text, now_ms).map_err(|error| match error {
            TicketError::Malformed => RefusalCode::TicketMalformed,
            TicketError::BadSignature => RefusalCode::TicketBadSignature,
            TicketError::Expired | TicketError::BadTimes => RefusalCode::TicketExpired,
            TicketError::WrongInstance => RefusalCode::TicketWrongInstance,
        })
    }

    fn seat_player(&self, ticket: JoinTicket, seat: Seat) -> Result<Admitted, RefusalCode> {
        // Again: many may have come in since the ticket was read.
        if self.board.players() >= self.players_max {
            return Err(RefusalCode::Busy);
        }
        let resume_secret = random_bytes(&*self.entropy);
        let JoinTicket {
            player,
            display_name,
            match_id,
            ..
        } = ticket;
        let holder = SeatHolder {
            player,
            display_name: display_name.clone(),
            resume_secret,
        };
        let facts = self
            .board
            .claim_seat(match_id, seat, holder)
            .map_err(refusal)?;
        let token = ResumeToken {
            match_id,
            seat,
            secret: resume_secret,
        };
        Ok(Admitted {
            match_id,
            player,
            display_name,
            place: Place::Seat(seat),
            role: Role::Player,
            welcome: self.welcome(&facts, player, Some(seat), Role::Player, token.encode()),
        })
    }

    fn admit_spectator(
        &self,
        ticket: JoinTicket,
        watch: spectator::SpectatorClaim,
    ) -> Result<Admitted, RefusalCode> {
        let watch = wish(watch).ok_or(RefusalCode::TicketMalformed)?;
        let facts = self
            .board
            .admit_spectator(ticket.match_id)
            .map_err(refusal)?;
        let JoinTicket {
            player,
            display_name,
            match_id,
            role,
            ..
        } = ticket;
        let welcome = self.welcome(&facts, player, None, role, String::new());
        Ok(Admitted {
            match_id,
            player,
            display_name,
            place: Place::Audience(watch),
            role,
            welcome,
        })
    }

    fn resume(&self, text: &str) -> Result<Admitted, RefusalCode> {
        let token = ResumeToken::decode(text).ok_or(RefusalCode::ResumeUnknown)?;
        let next = ResumeToken {
            secret: random_bytes(&*self.entropy),
            ..token
        };
        let (facts, holder) = self
            .board
            .resume_seat(token.match_id, token.seat, token.secret, next.secret)
            .ok_or(RefusalCode::ResumeUnknown)?;
        let seat = Some(token.seat);
        let role = Role::Player;
        let welcome = self.welcome(&facts, holder.player, seat, role, next.encode());
        Ok(Admitted {
            match_id: token.match_id,
            player: holder.player,
            display_name: holder.display_name,
            place: Place::Seat(token.seat),
            role,
            welcome,
        })
    }

    fn welcome(
        &self,
        facts: &MatchFacts,
        player: PlayerId,
        seat: Option<Seat>,
        role: Role,
        resume_token: String,
    ) -> Welcome {
        Welcome {
            connection: self.connections.fetch_add(1, Ordering::Relaxed),
            player,
            seat,
            role,
            tick_rate_hz: facts.game.tick_rate_hz,
            snapshot_rate_hz: facts.game.snapshot_rate_hz,
            resume_token,
            datagram_size_max: u16::try_from(PACKET_BYTES_MAX).unwrap_or(u16::MAX),
            game: facts.game.id.clone(),
        }
    }
}

/// What a spectator's ticket lets them watch; none when it names no team to look through.
fn wish(claim: spectator::SpectatorClaim) -> Option<Watch> {
    let view = match (claim.view, claim.team) {
        (spectator::SpectatorView::All, _) => View::All,
        (spectator::SpectatorView::Team, Some(team)) => View::Team(team),
        (spectator::SpectatorView::Team, None) => return None,
    };
    Some(Watch {
        view,
        delay: Duration::from_secs(claim.delay_s.into()),
    })
}

fn refusal(claim: SeatClaim) -> RefusalCode {
    match claim {
        SeatClaim::MatchUnknown => RefusalCode::MatchUnknown,
        SeatClaim::Full => RefusalCode::MatchFull,
        SeatClaim::Taken => RefusalCode::SeatTaken,
    }
}

/// The answer to somebody who is not let in.
pub(super) fn refused(code: RefusalCode) -> Refused {
    let text = explain(code);
    match retry_after(code) {
        Some(after) => Refused::for_now(code, text, after),
        None => Refused::new(code, text),
    }
}

/// When it is worth to come back, where that alone helps.
fn retry_after(code: RefusalCode) -> Option<Duration> {
    match code {
        RefusalCode::Overloaded => Some(RETRY_AFTER),
        // With the next heartbeat the lobby knows which seats are free.
        RefusalCode::Busy | RefusalCode::SeatTaken | RefusalCode::Timeout => {
            Some(limits::RETRY_AFTER)
        }
        RefusalCode::ProtocolMismatch
        | RefusalCode::TicketMalformed
        | RefusalCode::TicketBadSignature
        | RefusalCode::TicketExpired
        | RefusalCode::TicketWrongInstance
        | RefusalCode::TicketUsed
        | RefusalCode::ResumeUnknown
        | RefusalCode::MatchUnknown
        | RefusalCode::MatchFull
        | RefusalCode::Draining
        | RefusalCode::MalformedHello => None,
    }
}

/// What a person can do about a refusal.
fn explain(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::ProtocolMismatch => {
            "update the game: this instance speaks protocol 1 of another build of it, and only thin clients may watch"
        }
        RefusalCode::TicketMalformed
        | RefusalCode::TicketBadSignature
        | RefusalCode::TicketWrongInstance => "ask the lobby for a new ticket",
        RefusalCode::TicketExpired => "the ticket has expired; join again",
        RefusalCode::TicketUsed => "the ticket was used before; join again",
        RefusalCode::ResumeUnknown => "the seat is not held any more; join again",
        RefusalCode::MatchUnknown => "the match is over or elsewhere",
        RefusalCode::MatchFull => "the match is full",
        RefusalCode::SeatTaken => "another player has the seat; join again",
        RefusalCode::Draining => "the instance is shutting down",
        RefusalCode::Busy => "the instance is busy; try again in a second",
        RefusalCode::MalformedHello => "the Hello cannot be read",
        RefusalCode::Timeout => "the Hello came too late",
        RefusalCode::Overloaded => "the server is full to its limit; try again in a moment",
    }
}
