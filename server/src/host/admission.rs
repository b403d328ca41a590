//! Describes what a client was admitted to. It decides nothing.

use std::sync::Arc;

use gameserver_contract::ids::{MatchId, PlayerId, Seat};

use super::hosted_match::MatchInfo;
use super::spectator_inbox::SpectatorFeed;
use crate::simulation::ConnectionId;

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
