//! What is hosted, as everybody outside the workers sees it: states, seats, spectators.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gameserver_contract::game::GameDescriptor;
use gameserver_contract::ids::{MatchId, PlayerId, Seat};
use gameserver_contract::session::{Role, SessionState};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::MatchSpec;
use super::headroom::{Admits, BudgetMax, Headroom, Lasting, Measured};
use super::pulse::ProcessLoad;
use crate::games::HostedGame;
use crate::telemetry;

/// Spectators that one match takes.
const SPECTATORS_MAX: u32 = 2_000;

/// Measurements, 2 s, after which a worker that has told nothing of a match counts as stuck in it.
const SILENT_MEASUREMENTS_MAX: u8 = 4;

/// The shared record of all matches. Of its locks the one of the matches is taken first.
#[derive(Debug)]
pub struct Board {
    matches: Mutex<BTreeMap<MatchId, MatchFacts>>,
    /// What each worker tells of itself.
    workers: Mutex<BTreeMap<usize, WorkerNews>>,
    /// What all matches share.
    process: Mutex<Lasting>,
    budget_max: BudgetMax,
    draining: CancellationToken,
    /// How many matches there are.
    count: watch::Sender<usize>,
    changed: Notify,
}

/// What a worker tells of itself before each measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WorkerNews {
    /// Share of its time that it works.
    pub(super) load: f32,
    /// Entities in the Worlds of its matches.
    pub(super) entities: u64,
}

/// What is known of one match outside its worker.
#[derive(Debug, Clone)]
pub struct MatchFacts {
    /// Its game.
    pub game: GameDescriptor,
    /// What its clients must send and understand, as one number.
    pub fingerprint: u64,
    /// Where it is in its life, in the words of the session.
    pub state: SessionState,
    /// Seats in all.
    pub players_max: u16,
    /// Who holds which seat, connected or away.
    pub seats: BTreeMap<Seat, SeatHolder>,
    /// People who watch.
    pub spectators: u32,
    /// Index of the worker that steps it.
    pub worker: usize,
    /// How much room it has.
    pub headroom: Headroom,
    /// What its worker told last; none before the first time.
    pub(super) work: Option<Work>,
}

/// What a match costs its worker.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Work {
    /// Share of the worker's time.
    pub(super) share: f32,
    /// What all but one in a hundred of the latest ticks did not exceed, as a share of a tick.
    pub(super) tick_p99: f32,
    /// Measurements since it was told.
    pub(super) silent: u8,
}

/// Who holds a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatHolder {
    /// The account.
    pub player: PlayerId,
    /// Name that others see.
    pub display_name: String,
    /// Gives the seat back after a broken connection; new at each entry.
    pub resume_secret: [u8; 16],
}

/// Why a seat is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatClaim {
    /// The match is not here or is over.
    MatchUnknown,
    /// The seat is beyond the match's last one, or there are too many spectators.
    Full,
    /// Another player has it, or this player has another one.
    Taken,
}

impl Board {
    /// An empty board of a process that admits players below this limit.
    #[must_use]
    pub fn new(budget_max: BudgetMax) -> Self {
        Self {
            matches: Mutex::default(),
            workers: Mutex::default(),
            process: Mutex::default(),
            budget_max,
            draining: CancellationToken::new(),
            count: watch::Sender::new(0),
            changed: Notify::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MatchId, MatchFacts>> {
        self.matches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when something changed since the last call resolved. Of several callers one learns
    /// of it, so it is for whoever tells web-api.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// True once the instance takes no new matches and no new players.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Stops new matches and new players.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Resolves once [`Self::drain`] was called.
    pub async fn wait_draining(&self) {
        self.draining.cancelled().await;
    }

    /// Waits until there are so many matches as is wanted.
    pub async fn wait_count(&self, is_wanted: impl Fn(usize) -> bool) {
        let mut count = self.count.subscribe();
        // It fails when the sender is gone, and that is this board's.
        let _ = count.wait_for(|count| is_wanted(*count)).await;
    }

    /// Share of its time that the busiest worker works: 1.0 is all of it.
    #[must_use]
    pub fn busiest_worker(&self) -> f32 {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let loads = workers.values().map(|news| news.load);
        loads.fold(0.0, f32::max)
    }

    pub(super) fn hear(&self, worker: usize, news: WorkerNews) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.insert(worker, news);
        telemetry::entities(workers.values().map(|news| news.entities).sum());
    }

    fn process(&self) -> MutexGuard<'_, Lasting> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_work(&self, id: MatchId, work: Work) {
        if let Some(facts) = self.lock().get_mut(&id) {
            facts.work = Some(work);
        }
    }

    /// Judges every match anew by what its worker told, and by how the process runs.
    pub(super) fn measure(&self, load: ProcessLoad) {
        let mut matches = self.lock();
        let mut process = self.process();
        let before: Vec<Admits> = matches
            .values()
            .map(|facts| facts.headroom.admits(*process, self.budget_max))
            .collect();
        process.take(load.processor.max(load.network));
        let (mut tick_p99, mut expected) = (0.0_f32, process.load());
        for facts in matches.values_mut() {
            let worker = self.worker_load(facts.worker);
            let measured = facts.measured(worker);
            tick_p99 = tick_p99.max(facts.work.unwrap_or_default().tick_p99);
            facts.headroom.measure(measured, *process, self.budget_max);
            expected = expected.max(facts.headroom.expected(*process));
        }
        let after = matches.values();
        let after = after.map(|facts| facts.headroom.admits(*process, self.budget_max));
        let news = before.into_iter().ne(after);
        drop((matches, process));
        telemetry::loads([
            ("processor", load.processor),
            ("network", load.network),
            ("worker", self.busiest_worker()),
            ("tick", tick_p99),
        ]);
        telemetry::headroom(self.budget_max.share() - expected);
        if news {
            self.changed.notify_one();
        }
    }

    fn worker_load(&self, worker: usize) -> f32 {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.get(&worker).copied().unwrap_or_default().load
    }

    /// Who may come into a match now, as far as time for them is concerned.
    #[must_use]
    pub fn admits(&self, facts: &MatchFacts) -> Admits {
        facts.headroom.admits(*self.process(), self.budget_max)
    }

    /// Whether somebody is to be refused because there is no time for them. Whoever holds a seat is
    /// counted already, so that they may always come back to it.
    #[must_use]
    pub fn is_overloaded_for(&self, id: MatchId, player: PlayerId, role: Role) -> bool {
        let matches = self.lock();
        let Some(facts) = matches.get(&id) else {
            return false;
        };
        let is_seated = || facts.seats.values().any(|holder| holder.player == player);
        let may_enter = self.admits(facts).allows(role);
        !(may_enter || role == Role::Player && is_seated())
    }

    /// Matches hosted now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Players with a seat now, in all matches.
    #[must_use]
    pub fn players(&self) -> usize {
        self.lock().values().map(|facts| facts.seats.len()).sum()
    }

    /// One match.
    #[must_use]
    pub fn facts(&self, id: MatchId) -> Option<MatchFacts> {
        self.lock().get(&id).cloned()
    }

    /// People who watch a match.
    pub(super) fn spectators(&self, id: MatchId) -> u32 {
        self.lock().get(&id).map_or(0, |facts| facts.spectators)
    }

    /// Everything, by match.
    #[must_use]
    pub fn all(&self) -> BTreeMap<MatchId, MatchFacts> {
        self.lock().clone()
    }

    pub(super) fn quietest_worker(&self, workers: usize) -> usize {
        let matches = self.lock();
        let load = |worker: usize| {
            matches
                .values()
                .filter(|facts| facts.worker == worker)
                .count()
        };
        (0..workers).min_by_key(|worker| load(*worker)).unwrap_or(0)
    }

    pub(super) fn add(&self, spec: &MatchSpec, game: &HostedGame, worker: usize) {
        let facts = MatchFacts {
            game: game.descriptor.clone(),
            fingerprint: game.fingerprint,
            state: SessionState::Filling,
            players_max: spec.settings.players_max,
            seats: BTreeMap::new(),
            spectators: 0,
            worker,
            headroom: Headroom::default(),
            work: None,
        };
        self.change(|matches| drop(matches.insert(spec.id, facts)));
    }

    /// Forgets a match.
    pub fn remove(&self, id: MatchId) {
        self.change(|matches| drop(matches.remove(&id)));
    }

    pub(super) fn set_state(&self, id: MatchId, state: SessionState) {
        self.change(|matches| {
            if let Some(facts) = matches.get_mut(&id) {
                facts.state = state;
            }
        });
    }

    pub(super) fn free_seat(&self, id: MatchId, seat: Seat) {
        self.change(|matches| {
            if let Some(facts) = matches.get_mut(&id) {
                facts.seats.remove(&seat);
            }
        });
    }

    pub(super) fn spectator_gone(&self, id: MatchId) {
        self.change(|matches| {
            if let Some(facts) = matches.get_mut(&id) {
                facts.spectators = facts.spectators.saturating_sub(1);
            }
        });
    }

    /// Gives a seat to a player, unless another one has it. Their own seat they get again, with
    /// the new secret.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn claim_seat(
        &self,
        id: MatchId,
        seat: Seat,
        holder: SeatHolder,
    ) -> Result<MatchFacts, SeatClaim> {
        self.try_change(|matches| {
            let facts = open_match(matches, id)?;
            if seat.0 >= facts.players_max {
                return Err(SeatClaim::Full);
            }
            // Somebody else on this seat, or this player on another one.
            let taken = facts
                .seats
                .iter()
                .any(|(at, other)| (*at == seat) != (other.player == holder.player));
            if taken {
                return Err(SeatClaim::Taken);
            }
            if facts.seats.insert(seat, holder).is_none() {
                facts.headroom.admit();
            }
            Ok(facts.clone())
        })
    }

    /// Takes the secret of a held seat for a new one. `None` when the secret is not the present
    /// one, or the match is over.
    #[must_use]
    pub fn resume_seat(
        &self,
        id: MatchId,
        seat: Seat,
        secret: [u8; 16],
        next_secret: [u8; 16],
    ) -> Option<(MatchFacts, SeatHolder)> {
        let mut matches = self.lock();
        let facts = open_match(&mut matches, id).ok()?;
        let holder = facts.seats.get_mut(&seat)?;
        // Both are random 16-byte values used once, so their comparison leaks nothing of use.
        if holder.resume_secret != secret {
            return None;
        }
        holder.resume_secret = next_secret;
        let holder = holder.clone();
        Some((facts.clone(), holder))
    }

    /// Counts a spectator in.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn admit_spectator(&self, id: MatchId) -> Result<MatchFacts, SeatClaim> {
        self.try_change(|matches| {
            let facts = open_match(matches, id)?;
            if facts.spectators >= SPECTATORS_MAX {
                return Err(SeatClaim::Full);
            }
            facts.spectators += 1;
            Ok(facts.clone())
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<MatchId, MatchFacts>)) {
        let mut matches = self.lock();
        change(&mut matches);
        for state in SessionState::ALL {
            let count = matches
                .values()
                .filter(|facts| facts.state == state)
                .count();
            telemetry::matches_in(state.as_str(), count);
        }
        self.count.send_replace(matches.len());
        drop(matches);
        self.changed.notify_one();
    }

    fn try_change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<MatchId, MatchFacts>) -> Result<T, SeatClaim>,
    ) -> Result<T, SeatClaim> {
        let changed = change(&mut self.lock())?;
        self.changed.notify_one();
        Ok(changed)
    }
}

impl MatchFacts {
    /// What this match and its worker have to do, and how long ticks are. A worker that does not
    /// tell is in the middle of a tick that takes too long.
    fn measured(&mut self, worker: f32) -> Measured {
        let Some(work) = &mut self.work else {
            return Measured {
                load: worker,
                ..Measured::default()
            };
        };
        work.silent = work.silent.saturating_add(1);
        let stuck = if work.silent > SILENT_MEASUREMENTS_MAX {
            1.0
        } else {
            0.0
        };
        Measured {
            load: worker.max(work.tick_p99).max(stuck),
            own: work.share.max(work.tick_p99),
            players: self.seats.len(),
        }
    }
}

fn open_match(
    matches: &mut BTreeMap<MatchId, MatchFacts>,
    id: MatchId,
) -> Result<&mut MatchFacts, SeatClaim> {
    matches
        .get_mut(&id)
        .filter(|facts| facts.state.is_joinable())
        .ok_or(SeatClaim::MatchUnknown)
}
