//! Links a player's client, native or thin, to its entity: the connection, what the client may
//! still send, and how the link ends. `Native` and `Thin` stand on top of it, on the same entity.
//!
//! It does not know what packets and frames mean.

use bevy_ecs::prelude::*;
use bytes::Bytes;
use gameserver_contract::ids::Seat;
use gameserver_transport::close::CloseCode;
use gameserver_transport::connection::Connection;
use gameserver_transport::frame::Mode;

use super::allowance::Allowance;
use super::frame_io::{next_frame, send_bye};
use crate::telemetry;

/// Packets or frames taken from one connection in one tick: a client sends one or two. What is more
/// waits in the connection's bounded queue.
pub(super) const RECEIVED_PER_TICK_MAX: usize = 16;
/// Unacceptable packets or frames after which a connection is closed: an honest client sends none.
const VIOLATIONS_MAX: u32 = 16;
/// Frames that a client may send at once after a pause.
const FRAMES_BURST: u32 = 64;
/// Frames that a client may send in a tick on average.
const FRAMES_PER_TICK: u32 = 2;
/// Frames over that rate after which a connection is closed, unless it kept to the rate for a
/// while in between: half a minute of twice the rate, at 60 ticks a second.
const FRAMES_REFUSED_MAX: u32 = 3_600;

/// A player's link, on the entity that stands for it.
#[derive(Component, Debug)]
pub(super) struct ClientLink {
    connection: Connection,
    seat: Seat,
    violations: u32,
    /// What a thin client may send. For native ones the limit of a tick is enough: the guard looks
    /// at each packet.
    frames: Allowance,
    /// Frames over the rate since it was last kept to.
    frames_refused: u32,
}

/// How a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkEnd {
    /// The player left or was removed, and gives up the seat.
    Left,
    /// The connection broke, and the seat is held for a while.
    Broken,
}

impl ClientLink {
    /// Wraps a welcomed connection.
    pub(super) fn new(connection: Connection, seat: Seat, ticks_per_s: u32) -> Self {
        Self {
            connection,
            seat,
            violations: 0,
            frames: Allowance::new(FRAMES_BURST, FRAMES_PER_TICK * ticks_per_s),
            frames_refused: 0,
        }
    }

    /// The connection.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The player's seat.
    pub(super) fn seat(&self) -> Seat {
        self.seat
    }

    /// The oldest packet or frame that was not taken yet.
    pub(super) fn receive(&self) -> Option<Bytes> {
        match self.connection.mode() {
            Mode::Native => self.connection.try_recv(),
            Mode::Thin => next_frame(&self.connection),
        }
    }

    /// Once a tick: what the client may send again.
    pub(super) fn refill(&mut self, ticks_per_s: u32) {
        self.frames.grow(ticks_per_s);
        if self.frames.is_whole() {
            self.frames_refused = 0;
        }
    }

    /// Counts a frame. False when it is one too many; it is dropped then, and a client that goes
    /// on for too long is disconnected.
    pub(super) fn spend_frame(&mut self) -> bool {
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

    /// Counts what no honest client sends; with too much of it the connection is closed.
    pub(super) fn record_violation(&mut self, reason: &'static str) {
        telemetry::packet_dropped(reason);
        self.violations += 1;
        if self.violations == VIOLATIONS_MAX {
            let text = match self.connection.mode() {
                Mode::Native => "too many unacceptable packets",
                Mode::Thin => "too many unacceptable frames",
            };
            self.connection.close(CloseCode::ProtocolError, text);
        }
    }

    /// Ends the connection. A thin client gets what waits for it, and the reason as a frame.
    pub(super) fn close(&self, code: CloseCode, text: &str) {
        match self.connection.mode() {
            Mode::Native => self.connection.close(code, text),
            Mode::Thin => send_bye(&self.connection, code, text),
        }
    }

    /// How the link ended; none while it lives.
    pub(super) fn end(&self) -> Option<LinkEnd> {
        self.connection.closed().map(|reason| match reason.code {
            CloseCode::Consented
            | CloseCode::Kicked
            | CloseCode::Banned
            | CloseCode::ProtocolError => LinkEnd::Left,
            CloseCode::Replaced
            | CloseCode::Draining
            | CloseCode::ProtocolMismatch
            | CloseCode::SlowConsumer
            | CloseCode::RateLimited
            | CloseCode::TicketInvalid
            | CloseCode::MatchOver
            | CloseCode::Timeout
            | CloseCode::Internal
            | CloseCode::Refused
            | CloseCode::Lost => LinkEnd::Broken,
        })
    }
}
