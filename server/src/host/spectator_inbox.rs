//! The way of a spectator and of what a match shows to the match's spectators. It does not know
//! how frames are handed out; `spectator_hub` does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameserver_contract::spectator::{SpectatorClaim, SpectatorView};
use gameserver_shared::stream::broadcast::{Form, View};
use gameserver_transport::connection::Connection;
use tokio::sync::mpsc;

/// Longest delay of a spectator.
pub const DELAY_MAX: Duration = Duration::from_mins(5);
/// Spectators who were admitted and not taken in yet. When full, the next one is turned away.
const ARRIVALS_MAX: usize = 256;

/// What one spectator receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpectatorFeed {
    /// What it shows.
    pub view: View,
    /// How long after it happened; at most [`DELAY_MAX`].
    pub delay: Duration,
}

impl SpectatorFeed {
    /// What a ticket claims; none when it names no team to look through.
    #[must_use]
    pub fn of(claim: SpectatorClaim) -> Option<Self> {
        let view = match (claim.view, claim.team) {
            (SpectatorView::All, _) => View::All,
            (SpectatorView::Team, Some(team)) => View::Team(team),
            (SpectatorView::Team, None) => return None,
        };
        let delay = Duration::from_secs(claim.delay_s.into()).min(DELAY_MAX);
        Some(Self { view, delay })
    }
}

/// What a match shows its spectators.
#[derive(Debug, Clone)]
pub(super) enum SpectatorFrame {
    /// A snapshot, of one view.
    Snapshot {
        view: View,
        form: Form,
        tick: u32,
        frame: Bytes,
        /// With a key frame: the events that state how things stand.
        standing: Option<Arc<[Bytes]>>,
    },
    /// Something happened; every view shows it.
    Event(Bytes),
}

/// Where a match's spectators are sent.
#[derive(Debug, Clone)]
pub(super) struct SpectatorInbox {
    arrivals: mpsc::Sender<Arrival>,
}

/// A spectator who was admitted.
pub(super) type Arrival = (Connection, SpectatorFeed);

impl SpectatorInbox {
    /// An inbox, and the end that the hub reads.
    pub(super) fn new() -> (Self, mpsc::Receiver<Arrival>) {
        let (arrivals, inbox) = mpsc::channel(ARRIVALS_MAX);
        (Self { arrivals }, inbox)
    }

    /// False when too many arrive at once, or the match shows nothing any more.
    pub(super) fn send(&self, connection: Connection, feed: SpectatorFeed) -> bool {
        self.arrivals.try_send((connection, feed)).is_ok()
    }
}
