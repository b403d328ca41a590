//! A bot of the swarm: thin or light native.

use std::time::Instant;

use gameserver_shared::bot::{BotTally, ThinBots};
use gameserver_transport::close::CloseReason;
use gameserver_transport::connection::Connection;

use super::latency_probe::LatencyProbe;
use super::native::LightBot;
use super::thin_bot::ThinBot;

/// A bot that is one of thousands.
#[expect(
    clippy::large_enum_variant,
    reason = "each is in a box of its own, and both kinds come by the thousand"
)]
pub(super) enum SwarmBot<G: ThinBots> {
    /// Knows the snapshot stream.
    Thin(ThinBot<G::Thin>),
    /// Speaks lightyear's protocol.
    Native(LightBot<G::Blind>),
}

impl<G: ThinBots> SwarmBot<G> {
    /// How the connection ended, once it has.
    pub(super) fn end(&self) -> Option<CloseReason> {
        self.connection().closed()
    }

    /// Whether it plays.
    pub(super) fn plays(&self) -> bool {
        match self {
            Self::Thin(bot) => bot.plays(),
            Self::Native(_) => true,
        }
    }

    /// Snapshots taken in so far.
    pub(super) fn snapshots(&self) -> u64 {
        match self {
            Self::Thin(bot) => bot.snapshots(),
            Self::Native(bot) => bot.snapshots(),
        }
    }

    /// The connection, for its counters.
    pub(super) fn connection(&self) -> &Connection {
        match self {
            Self::Thin(bot) => bot.connection(),
            Self::Native(bot) => bot.connection(),
        }
    }

    /// What it has achieved, as far as it knows.
    pub(super) fn tally(&self) -> BotTally {
        match self {
            Self::Thin(bot) => bot.tally(),
            Self::Native(_) => BotTally::default(),
        }
    }

    /// Leaves the match.
    pub(super) fn leave(&self) {
        match self {
            Self::Thin(bot) => bot.leave(),
            Self::Native(bot) => bot.leave(),
        }
    }

    /// Nothing is to be done before; none when it should be asked all the time.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        match self {
            Self::Thin(bot) => bot.idle_until(),
            Self::Native(bot) => bot.idle_until(),
        }
    }

    /// Takes in what came.
    pub(super) fn receive(&mut self, now: Instant, probe: &mut impl LatencyProbe) {
        match self {
            Self::Thin(bot) => bot.receive(now, probe),
            Self::Native(bot) => bot.receive(now, probe),
        }
    }

    /// Sends what is due; it may be asked several times a tick.
    pub(super) fn send_due(&mut self, now: Instant, probe: &mut impl LatencyProbe) {
        match self {
            Self::Thin(bot) => bot.send_due(now, probe),
            Self::Native(bot) => bot.send_due(now, probe),
        }
    }
}
