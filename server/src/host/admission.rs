//! What a client asks the directory for, and what it is admitted to. It decides nothing.

use std::sync::Arc;

use gameserver_contract::ids::{MatchId, PlayerId, Seat};
use gameserver_contract::ticket::JoinTicket;
use gameserver_transport::frame::Mode;

use super::hosted_match::MatchInfo;
use super::spectator_inbox::SpectatorFeed;
use crate::simulation::ConnectionId;

/// A verified ticket and the client that presented it.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionRequest<'a> {
    /// The ticket.
    pub ticket: &'a JoinTicket,
    /// The client's protocol.
    pub mode: Mode,
    /// What the client's build of the game sends and understands.
    pub fingerprint: u64,
    /// Resumes the seat if the ticket is for one.
    pub resume_secret: [u8; 16],
    /// The present time.
    pub now_ms: i64,
}

/// What a client was admitted to.
#[derive(Debug)]
pub struct Admission {
    /// The number of its connection, and of its claim.
    pub connection: ConnectionId,
    /// The match.
    pub match_id: MatchId,
    /// What its Welcome states about the match.
    pub info: Arc<MatchInfo>,
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
    /// What it may do there.
    pub entry: Entry,
}

/// What an admitted client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Play on this seat.
    Seat {
        /// The seat.
        seat: Seat,
        /// Gives it back after a broken connection.
        resume_secret: [u8; 16],
    },
    /// Watch.
    Spectator(SpectatorFeed),
}
