//! Checks what an arrival shows, without asking another process: a join ticket that web-api signed,
//! or the resume token of a seat that is held here.
//!
//! It verifies credentials and writes the answers; who gets what, the host's directory decides.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gameserver_contract::clock::SharedClock;
use gameserver_contract::entropy::{SharedEntropy, random_bytes};
use gameserver_contract::session::Role;
use gameserver_contract::ticket::{JoinTicket, TicketError, TicketVerifier};
use gameserver_shared::protocol::PACKET_BYTES_MAX;
use gameserver_transport::close::RefusalCode;
use gameserver_transport::frame::{Credential, Hello, Refused, Welcome};
use gameserver_transport::limits;

use super::resume_token::ResumeToken;
use crate::host::{Admission, Entry, MatchDirectory, RETRY_AFTER};
use crate::telemetry;

/// Decides about arrivals.
#[derive(Debug)]
pub struct AdmissionControl {
    directory: Arc<MatchDirectory>,
    clock: SharedClock,
    entropy: SharedEntropy,
    /// None before web-api has sent its keys.
    verifier: RwLock<Option<TicketVerifier>>,
}

impl AdmissionControl {
    /// Decides for the matches of this directory.
    #[must_use]
    pub fn new(directory: Arc<MatchDirectory>, clock: SharedClock, entropy: SharedEntropy) -> Self {
        Self {
            directory,
            clock,
            entropy,
            verifier: RwLock::new(None),
        }
    }

    /// Takes the keys that tickets are signed with.
    pub fn set_verifier(&self, verifier: TicketVerifier) {
        *self
            .verifier
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(verifier);
    }

    pub(super) fn admit(&self, hello: &Hello) -> Result<Admission, RefusalCode> {
        match &hello.credential {
            // Those who play already may return to their seat until the match is over.
            Credential::Ticket(_) if self.directory.is_draining() => Err(RefusalCode::Draining),
            Credential::Ticket(text) => self.admit_ticket(text, hello),
            Credential::Resume(text) => self.resume(text).ok_or(RefusalCode::ResumeUnknown),
        }
    }

    fn admit_ticket(&self, text: &str, hello: &Hello) -> Result<Admission, RefusalCode> {
        let now_ms = self.clock.now_ms();
        let ticket = self.verify(text, now_ms)?;
        let resume_secret = random_bytes(&*self.entropy);
        let admitted = self.directory.admit(&ticket, hello, resume_secret, now_ms);
        if admitted.as_ref().err() == Some(&RefusalCode::Overloaded) {
            telemetry::shed(ticket.role);
        }
        admitted
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

    fn resume(&self, text: &str) -> Option<Admission> {
        let token = ResumeToken::decode(text)?;
        let next_secret = random_bytes(&*self.entropy);
        self.directory
            .resume(token.match_id, token.seat, token.secret, next_secret)
    }
}

/// The answer to somebody who is admitted.
pub(super) fn welcome(admission: &Admission) -> Welcome {
    let (seat, role, resume_token) = match admission.entry {
        Entry::Spectator(_) => (None, Role::Spectator, String::new()),
        Entry::Seat {
            seat,
            resume_secret,
        } => {
            let token = ResumeToken {
                match_id: admission.match_id,
                seat,
                secret: resume_secret,
            };
            (Some(seat), Role::Player, token.encode())
        }
    };
    let game = &admission.info.game;
    Welcome {
        connection: admission.connection.0,
        player: admission.player,
        seat,
        role,
        tick_rate_hz: game.tick_rate_hz,
        snapshot_rate_hz: game.snapshot_rate_hz,
        resume_token,
        datagram_size_max: u16::try_from(PACKET_BYTES_MAX).unwrap_or(u16::MAX),
        game: game.id.clone(),
    }
}

/// The answer to somebody who is not admitted.
pub(super) fn refused(code: RefusalCode) -> Refused {
    let text = explain(code);
    match retry_after(code) {
        Some(after) => Refused::for_now(code, text, after),
        None => Refused::new(code, text),
    }
}

/// When another try may succeed, where waiting alone helps.
fn retry_after(code: RefusalCode) -> Option<Duration> {
    match code {
        RefusalCode::Overloaded => Some(RETRY_AFTER),
        // After the next heartbeat the lobby knows which seats are free.
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
