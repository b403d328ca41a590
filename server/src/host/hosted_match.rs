//! Tracks one hosted match as everybody outside its worker sees it: who holds its seats, how many
//! watch, and how much room it has.
//!
//! It does not know other matches, tickets or locks; the directory does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gameserver_contract::game::GameDescriptor;
use gameserver_contract::ids::{PlayerId, Seat};
use gameserver_contract::session::SessionState;
use gameserver_control::Admits;
use gameserver_transport::close::RefusalCode;

use super::headroom::{BudgetMax, Headroom, LoadSample, SustainedLoad};
use super::spectator_inbox::SpectatorInbox;
use crate::simulation::ConnectionId;

/// Spectators that one match takes.
const SPECTATORS_MAX: u32 = 2_000;

/// Measurements, 2 s, after which a worker that has not reported a match counts as stuck in it.
const UNREPORTED_MEASUREMENTS_MAX: u8 = 4;

/// What never changes about a hosted match.
#[derive(Debug)]
pub struct MatchInfo {
    /// Its game.
    pub game: GameDescriptor,
    /// What its clients must send and understand, as one number.
    pub fingerprint: u64,
    /// Seats in all.
    pub players_max: u16,
    /// Index of the worker that steps it.
    pub worker: usize,
    /// Where its spectators are sent.
    pub(super) spectators: SpectatorInbox,
}

/// A match as it was at one moment.
#[derive(Debug, Clone)]
pub struct MatchSummary {
    /// Where it is in its life, in the words of the session.
    pub state: SessionState,
    /// Who holds which seat, connected or away.
    pub seats: BTreeMap<Seat, PlayerId>,
    /// People who watch.
    pub spectators: u32,
    /// Who may enter now, as far as time for them is concerned.
    pub admits: Admits,
}

/// What a match costs its worker.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct MatchLoad {
    /// Share of the worker's time.
    pub(super) busy: f32,
    /// What all but one in a hundred of the latest ticks did not exceed, as a share of a tick.
    pub(super) tick_p99: f32,
}

/// Who holds a seat, connected or away.
#[derive(Debug, Clone)]
pub(super) struct SeatHolder {
    pub(super) player: PlayerId,
    pub(super) display_name: String,
    /// The connection that claimed the seat last.
    pub(super) connection: ConnectionId,
    /// Gives the seat back after a broken connection; new with each claim.
    pub(super) resume_secret: [u8; 16],
}

#[derive(Debug)]
pub(super) struct HostedMatch {
    pub(super) info: Arc<MatchInfo>,
    pub(super) state: SessionState,
    seats: BTreeMap<Seat, SeatHolder>,
    /// The same seats by their holder.
    seat_of: HashMap<PlayerId, Seat>,
    pub(super) spectators: u32,
    pub(super) headroom: Headroom,
    /// None before the worker's first report.
    load: Option<MatchLoad>,
    /// Measurements since that report.
    unreported: u8,
}

impl HostedMatch {
    pub(super) fn new(info: Arc<MatchInfo>) -> Self {
        Self {
            info,
            state: SessionState::Filling,
            seats: BTreeMap::new(),
            seat_of: HashMap::new(),
            spectators: 0,
            headroom: Headroom::default(),
            load: None,
            unreported: 0,
        }
    }

    /// Seats that are held.
    pub(super) fn players(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn is_seated(&self, player: PlayerId) -> bool {
        self.seat_of.contains_key(&player)
    }

    /// Gives a seat to a player, unless another one holds it. Holders get their own seat again,
    /// with the new secret.
    pub(super) fn claim_seat(&mut self, seat: Seat, holder: SeatHolder) -> Result<(), RefusalCode> {
        if seat.0 >= self.info.players_max {
            return Err(RefusalCode::MatchFull);
        }
        let player = holder.player;
        let is_held_by_other = |held: &SeatHolder| held.player != player;
        let holds_other = |held: &Seat| *held != seat;
        if self.seats.get(&seat).is_some_and(is_held_by_other)
            || self.seat_of.get(&player).is_some_and(holds_other)
        {
            return Err(RefusalCode::SeatTaken);
        }
        if self.seats.insert(seat, holder).is_none() {
            self.seat_of.insert(player, seat);
            self.headroom.reserve_player();
        }
        Ok(())
    }

    /// Claims a held seat for another connection of its holder. `None` when the secret is not the
    /// present one.
    pub(super) fn resume_seat(
        &mut self,
        seat: Seat,
        secret: [u8; 16],
        connection: ConnectionId,
        next_secret: [u8; 16],
    ) -> Option<&SeatHolder> {
        let holder = self.seats.get_mut(&seat)?;
        // Both are random 16-byte values used once, so their comparison leaks nothing of use.
        if holder.resume_secret != secret {
            return None;
        }
        holder.resume_secret = next_secret;
        holder.connection = connection;
        Some(holder)
    }

    /// Frees a seat, unless another connection than this one has claimed it since.
    pub(super) fn release_seat(&mut self, seat: Seat, connection: ConnectionId) {
        let claimed = self.seats.get(&seat);
        if let Some(holder) = claimed.filter(|holder| holder.connection == connection) {
            self.seat_of.remove(&holder.player);
            self.seats.remove(&seat);
        }
    }

    pub(super) fn add_spectator(&mut self) -> Result<(), RefusalCode> {
        if self.spectators >= SPECTATORS_MAX {
            return Err(RefusalCode::MatchFull);
        }
        self.spectators += 1;
        Ok(())
    }

    pub(super) fn record_load(&mut self, load: MatchLoad) {
        self.load = Some(load);
        self.unreported = 0;
    }

    /// What the worker reported last.
    pub(super) fn load(&self) -> MatchLoad {
        self.load.unwrap_or_default()
    }

    /// What this match and its worker have to do, and how long ticks are. A worker that does not
    /// report is in the middle of a tick that takes too long.
    pub(super) fn sample(&mut self, worker: f32) -> LoadSample {
        let Some(load) = self.load else {
            return LoadSample {
                load: worker,
                ..LoadSample::default()
            };
        };
        self.unreported = self.unreported.saturating_add(1);
        let is_stuck = self.unreported > UNREPORTED_MEASUREMENTS_MAX;
        let stuck = if is_stuck { 1.0 } else { 0.0 };
        LoadSample {
            load: worker.max(load.tick_p99).max(stuck),
            own: load.busy.max(load.tick_p99),
            players: self.players(),
        }
    }

    pub(super) fn summary(&self, process: SustainedLoad, max: BudgetMax) -> MatchSummary {
        let seats = self.seats.iter();
        MatchSummary {
            state: self.state,
            seats: seats.map(|(seat, holder)| (*seat, holder.player)).collect(),
            spectators: self.spectators,
            admits: self.headroom.admits(process, max),
        }
    }
}
