//! Forwards lines of chat, within limits. It does not know connections.

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use gameserver_contract::text::clean_line;
use gameserver_shared::event::MatchEvent;

use crate::simulation::allowance::Allowance;
use crate::telemetry;

/// Lines of chat of one player at once after a pause, and in a second on average.
const CHAT_BURST: u32 = 5;
const CHAT_PER_S: u32 = 1;
/// The same of all players of a match: everybody is sent every line.
const MATCH_CHAT_BURST: u32 = 40;
const MATCH_CHAT_PER_S: u32 = 20;

/// What one player may write.
pub(super) fn chat_allowance() -> Allowance {
    Allowance::new(CHAT_BURST, CHAT_PER_S)
}

/// What all players of the match together may write.
#[derive(Resource, Debug)]
pub(super) struct MatchChat(pub(super) Allowance);

impl Default for MatchChat {
    fn default() -> Self {
        Self(Allowance::new(MATCH_CHAT_BURST, MATCH_CHAT_PER_S))
    }
}

impl MatchChat {
    /// The event of a line that a player wrote; none when it is dropped.
    pub(super) fn write(
        &mut self,
        seat: Seat,
        player: &mut Allowance,
        line: &str,
    ) -> Option<MatchEvent> {
        let Some(line) = clean_line(line) else {
            drop_line();
            return None;
        };
        if !player.spend() {
            telemetry::packet_dropped("chat_rate");
            return None;
        }
        if !self.0.spend() {
            telemetry::packet_dropped("chat_rate_match");
            return None;
        }
        Some(MatchEvent::new("chat", &(seat.0, line)))
    }
}

/// Drops a line of chat. It is no violation: people write what their keyboards and programs make of
/// it, and a bad line must not cost anybody their seat.
pub(super) fn drop_line() {
    telemetry::packet_dropped("chat_text");
}
