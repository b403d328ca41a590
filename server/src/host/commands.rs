//! Names the commands that other threads send to workers and their matches. It does not apply them.

use std::time::Duration;

use gameserver_contract::ids::{MatchId, PlayerId};
use gameserver_shared::stream::broadcast::View;
use gameserver_transport::close::CloseCode;
use tokio::sync::mpsc;

use super::spec::MatchSpec;
use super::spectator_inbox::SpectatorFrame;
use crate::simulation::Entrant;

/// A command to a worker.
#[derive(Debug)]
pub(super) enum WorkerCommand {
    /// Host a match, which sends what it shows there.
    Start(Box<MatchSpec>, mpsc::Sender<SpectatorFrame>),
    /// Forward this to one of its matches.
    Forward(MatchId, MatchCommand),
}

/// A command to a match.
#[derive(Debug)]
pub(super) enum MatchCommand {
    /// Seat a player.
    Enter(Box<Entrant>),
    /// Remove a player, for this reason.
    Kick(PlayerId, String),
    /// Encode this view: somebody watches it.
    Show(View),
    /// Tell players that the instance goes away, in so much time at the latest.
    Drain(Duration),
    /// End as aborted.
    Stop(EndReason),
}

/// Why the connections of a match are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndReason {
    /// The match has ended, for whatever reason.
    MatchOver,
    /// The instance goes away under a match that is not over.
    Draining,
}

impl EndReason {
    /// What the connections are closed with.
    pub(super) fn close(self) -> (CloseCode, &'static str) {
        match self {
            Self::MatchOver => (CloseCode::MatchOver, "the match is over"),
            Self::Draining => (CloseCode::Draining, "the instance is shutting down"),
        }
    }
}
