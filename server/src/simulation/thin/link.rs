//! A thin player's connection: reads its frames, within limits.

use bevy_ecs::prelude::*;
use gameserver_contract::ids::Seat;
use gameserver_contract::text::clean_line;
use gameserver_shared::event::MatchEvent;
use gameserver_shared::flow::MatchSettings;
use gameserver_shared::game::Game;
use gameserver_shared::stream::frame::ClientFrame;
use gameserver_shared::stream::viewer::{Budget, Viewer};
use gameserver_shared::tick::CurrentTick;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;

use super::allowance::Allowance;
use super::inputs::{Lead, ThinInputs};
use super::talk::{answer_ping, next_frame, say_bye};
use crate::telemetry;

/// Frames taken from one connection in one tick; what is more waits in its bounded queue.
const FRAMES_PER_TICK_MAX: usize = 16;
/// Frames that a client may send at once after a pause.
const FRAMES_BURST: u32 = 64;
/// Frames that a client may send in a tick on average.
const FRAMES_PER_TICK: u32 = 2;
/// Frames over that rate after which a connection is closed, unless it kept to the rate for a
/// while in between: half a minute of twice the rate, at 60 ticks a second.
const FRAMES_REFUSED_MAX: u32 = 3_600;
/// Lines of chat of one player at once after a pause, and in a second on average.
const CHAT_BURST: u32 = 5;
const CHAT_PER_S: u32 = 1;
/// The same of all players of a match: everybody is sent every line.
const MATCH_CHAT_BURST: u32 = 40;
const MATCH_CHAT_PER_S: u32 = 20;
/// Unacceptable frames after which a connection is closed: an honest client sends none.
const VIOLATIONS_MAX: u32 = 16;
/// What a client is sent on average: the budget of a shooter.
const BYTES_PER_S: usize = 24 * 1024;

/// A thin player's connection, on the entity that stands for it.
#[derive(Component, Debug)]
#[require(Lead)]
pub(in crate::simulation) struct ThinLink {
    pub(super) connection: Connection,
    pub(super) seat: Seat,
    pub(super) viewer: Viewer,
    frames: Allowance,
    /// Frames over the rate since it was last kept to.
    frames_refused: u32,
    chat: Allowance,
    violations: u32,
}

impl ThinLink {
    /// Wraps a welcomed connection. `team` is the seat's.
    #[must_use]
    pub(in crate::simulation) fn new(
        connection: Connection,
        seat: Seat,
        team: Option<u16>,
        (ticks_per_s, snapshot_interval): (u32, u32),
    ) -> Self {
        let snapshots_per_s = (ticks_per_s / snapshot_interval.max(1)).max(1);
        let budget = Budget {
            bytes_per_snapshot: BYTES_PER_S / snapshots_per_s as usize,
            frame_bytes_max: connection.datagram_size_max(),
        };
        Self {
            connection,
            seat,
            viewer: Viewer::new(seat, team, budget),
            frames: Allowance::new(FRAMES_BURST, FRAMES_PER_TICK * ticks_per_s),
            frames_refused: 0,
            chat: Allowance::new(CHAT_BURST, CHAT_PER_S),
            violations: 0,
        }
    }

    /// The connection.
    #[must_use]
    pub(in crate::simulation) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The player's seat.
    #[must_use]
    pub(in crate::simulation) fn seat(&self) -> Seat {
        self.seat
    }

    /// Once a tick: what the client may do again.
    fn refill(&mut self, ticks_per_s: u32) {
        self.frames.grow(ticks_per_s);
        self.chat.grow(ticks_per_s);
        if self.frames.is_whole() {
            self.frames_refused = 0;
        }
    }

    fn may_speak(&mut self) -> bool {
        let may = self.frames.spend();
        if !may {
            telemetry::packet_dropped("rate");
            self.frames_refused += 1;
            if self.frames_refused == FRAMES_REFUSED_MAX {
                let text = "more frames than a client may send, for too long";
                self.connection.close(CloseCode::RateLimited, text);
            }
        }
        may
    }

    fn violate(&mut self, reason: &'static str) {
        telemetry::packet_dropped(reason);
        self.violations += 1;
        if self.violations == VIOLATIONS_MAX {
            let text = "too many unacceptable frames";
            self.connection.close(CloseCode::ProtocolError, text);
        }
    }

    fn chat(&mut self, line: &str, all: &mut MatchChat) -> Option<MatchEvent> {
        let Some(line) = clean_line(line) else {
            drop_line();
            return None;
        };
        if !self.chat.spend() {
            telemetry::packet_dropped("chat_rate");
            return None;
        }
        if !all.0.spend() {
            telemetry::packet_dropped("chat_rate_match");
            return None;
        }
        Some(MatchEvent::new("chat", &(self.seat.0, line)))
    }
}

/// Leaves a line of chat out. It is no violation: people write what their keyboards and programs
/// make of it, and a bad line must not cost anybody their seat.
fn drop_line() {
    telemetry::packet_dropped("chat_text");
}

/// What all players of the match together may say.
#[derive(Resource, Debug)]
pub(super) struct MatchChat(Allowance);

impl Default for MatchChat {
    fn default() -> Self {
        Self(Allowance::new(MATCH_CHAT_BURST, MATCH_CHAT_PER_S))
    }
}

/// Reads what came since the last tick.
pub(super) fn receive_frames<G: Game>(
    tick: CurrentTick,
    settings: Res<MatchSettings>,
    mut chat: ResMut<MatchChat>,
    mut links: Query<(&mut ThinLink, &mut ThinInputs<G>, &mut Lead)>,
    mut events: MessageWriter<MatchEvent>,
) {
    let ticks_per_s = u32::from(settings.tick_rate_hz);
    chat.0.grow(ticks_per_s);
    for (mut link, mut inputs, mut lead) in &mut links {
        link.refill(ticks_per_s);
        for _ in 0..FRAMES_PER_TICK_MAX {
            let Some(frame) = next_frame(&link.connection) else {
                break;
            };
            if link.may_speak() {
                // The tick that just ended is the newest; the next one is about to begin.
                let now = (tick.number(), 1_000_000 / ticks_per_s);
                let player = (&mut *link, &mut *inputs, &mut *lead);
                events.write_batch(obey(&frame, player, &mut chat, now));
            }
        }
    }
}

fn obey<G: Game>(
    frame: &[u8],
    (link, inputs, lead): (&mut ThinLink, &mut ThinInputs<G>, &mut Lead),
    chat: &mut MatchChat,
    (tick, tick_us): (u32, u32),
) -> Option<MatchEvent> {
    match ClientFrame::decode(frame) {
        Ok(ClientFrame::Input {
            tick: at,
            inputs: raw,
            acks,
        }) => {
            link.viewer.acknowledge(acks.newest, acks.before);
            if let Err(refusal) = inputs.take_in(lead, tick, at, raw) {
                telemetry::input_rejected(refusal.rule);
            }
        }
        Ok(ClientFrame::Ack(acks)) => link.viewer.acknowledge(acks.newest, acks.before),
        Ok(ClientFrame::Ping { stamp }) => answer_ping(&link.connection, stamp, tick, tick_us),
        Ok(ClientFrame::Chat(text)) => return link.chat(text, chat),
        Ok(ClientFrame::BadChat) => drop_line(),
        Ok(ClientFrame::Leave) => say_bye(&link.connection, CloseCode::Consented, "left"),
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "unacceptable frame"
            );
            link.violate("frame_malformed");
        }
    }
    None
}
