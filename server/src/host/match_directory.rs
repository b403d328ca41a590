//! Decides who holds which seat of which match, and reports what this instance hosts.
//!
//! This is the only place of an instance that decides who holds a seat. A join takes its lock once
//! and makes every check and the claim in one step, so no two clients get the same seat and no
//! limit is passed between a check and a claim. Everybody else follows: a match's World seats
//! whoever it is sent and reports which seats it gave up; web-api only reserves a seat for the few
//! seconds until the heartbeat reports the holder from here. The decision is here and not in the
//! World or in web-api because a Hello must be answered without waiting for a tick or for another
//! process.
//!
//! A claim is numbered by its connection. A World that gives up a seat names the connection that
//! it seated, so a report that crosses a newer claim frees nothing.
//!
//! It does not know sockets, threads or Bevy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gameserver_contract::ids::{MatchId, Seat};
use gameserver_contract::session::{Role, SessionState};
use gameserver_contract::spectator::SpectatorClaim;
use gameserver_contract::ticket::JoinTicket;
use gameserver_transport::close::RefusalCode;
use gameserver_transport::frame::{Hello, Mode};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Entry};
use super::headroom::{BudgetMax, SustainedLoad};
use super::hosted_match::{HostedMatch, MatchInfo, MatchLoad, MatchSummary, SeatHolder};
use super::load_probe::ProcessLoad;
use super::spec::{HostConfig, HostError};
use super::spectator_inbox::SpectatorFeed;
use super::used_tickets::UsedTickets;
use crate::simulation::ConnectionId;
use crate::telemetry;

/// The matches of an instance: their seats, spectators, states and loads, behind one lock.
#[derive(Debug)]
pub struct MatchDirectory {
    state: Mutex<State>,
    matches_max: usize,
    players_max: usize,
    budget_max: BudgetMax,
    draining: CancellationToken,
    /// How many matches there are.
    count: watch::Sender<usize>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    matches: BTreeMap<MatchId, HostedMatch>,
    /// By the index of the worker.
    workers: Vec<WorkerEntry>,
    process: SustainedLoad,
    used_tickets: UsedTickets,
    /// Seats held in all matches.
    players: usize,
    /// Connections admitted so far.
    connections: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct WorkerEntry {
    load: WorkerLoad,
    matches: usize,
}

/// What a worker reports about itself before each measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WorkerLoad {
    /// Share of its time that it works.
    pub(super) busy: f32,
    /// Entities in the Worlds of its matches.
    pub(super) entities: u64,
}

impl MatchDirectory {
    /// An empty directory with this configuration's limits.
    #[must_use]
    pub fn new(config: &HostConfig) -> Self {
        let state = State {
            workers: vec![WorkerEntry::default(); config.workers.max(1)],
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            matches_max: config.matches_max,
            players_max: config.players_max,
            budget_max: config.budget_max,
            draining: CancellationToken::new(),
            count: watch::Sender::new(0),
            changed: Notify::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims what a verified ticket is for: a seat, which this secret resumes, or a place among
    /// the spectators. A refusal before the claim does not spend the ticket.
    ///
    /// # Errors
    ///
    /// Why the client is not admitted.
    pub fn admit(
        &self,
        ticket: &JoinTicket,
        hello: &Hello,
        resume_secret: [u8; 16],
        now_ms: i64,
    ) -> Result<Admission, RefusalCode> {
        let mut state = self.lock();
        state.check_protocol(ticket, hello)?;
        state.check_load(ticket, self.budget_max)?;
        if ticket.role == Role::Player && state.players >= self.players_max {
            return Err(RefusalCode::Busy);
        }
        state.used_tickets.mark(ticket, now_ms)?;
        let admission = match (ticket.role, ticket.seat, ticket.watch) {
            (Role::Player, Some(seat), None) => state.claim_seat(ticket, seat, resume_secret),
            (Role::Spectator, None, Some(claim)) => state.add_spectator(ticket, claim),
            (Role::Player | Role::Spectator, _, _) => Err(RefusalCode::TicketMalformed),
        }?;
        drop(state);
        self.changed.notify_one();
        Ok(admission)
    }

    /// Claims a held seat anew for its holder, and replaces the secret. `None` when the secret is
    /// not the present one, or the match is over.
    #[must_use]
    pub fn resume(
        &self,
        id: MatchId,
        seat: Seat,
        secret: [u8; 16],
        next_secret: [u8; 16],
    ) -> Option<Admission> {
        let mut state = self.lock();
        let connection = state.next_connection();
        let hosted = state.open_match(id).ok()?;
        let info = hosted.info.clone();
        let holder = hosted.resume_seat(seat, secret, connection, next_secret)?;
        Some(Admission {
            connection,
            match_id: id,
            player: holder.player,
            display_name: holder.display_name.clone(),
            info,
            entry: Entry::Seat {
                seat,
                resume_secret: next_secret,
            },
        })
    }

    /// Gives back what a client was admitted to and did not enter.
    pub fn revoke(&self, admission: &Admission) {
        let id = admission.match_id;
        match admission.entry {
            Entry::Seat { seat, .. } => self.release_seat(id, seat, admission.connection),
            Entry::Spectator(_) => self.remove_spectator(id),
        }
    }

    /// Frees a seat, unless another connection than this one has claimed it since.
    pub(super) fn release_seat(&self, id: MatchId, seat: Seat, connection: ConnectionId) {
        let mut state = self.lock();
        let Some(hosted) = state.matches.get_mut(&id) else {
            return;
        };
        let before = hosted.players();
        hosted.release_seat(seat, connection);
        let freed = before - hosted.players();
        state.players -= freed;
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn remove_spectator(&self, id: MatchId) {
        if let Some(hosted) = self.lock().matches.get_mut(&id) {
            hosted.spectators = hosted.spectators.saturating_sub(1);
        }
        self.changed.notify_one();
    }

    /// Adds a match to the worker with the fewest, and returns what is hosted. `None` when the
    /// match is hosted already.
    pub(super) fn add(
        &self,
        id: MatchId,
        info: impl FnOnce(usize) -> MatchInfo,
    ) -> Result<Option<Arc<MatchInfo>>, HostError> {
        let mut state = self.lock();
        if state.matches.contains_key(&id) {
            return Ok(None);
        }
        if self.is_draining() {
            return Err(HostError::Draining);
        }
        if state.matches.len() >= self.matches_max {
            return Err(HostError::Full);
        }
        let worker = state.least_loaded_worker();
        let info = Arc::new(info(worker));
        state.workers[worker].matches += 1;
        state.matches.insert(id, HostedMatch::new(info.clone()));
        self.publish_matches(state);
        Ok(Some(info))
    }

    /// Forgets a match.
    pub fn remove(&self, id: MatchId) {
        let mut state = self.lock();
        let Some(hosted) = state.matches.remove(&id) else {
            return;
        };
        state.workers[hosted.info.worker].matches -= 1;
        state.players -= hosted.players();
        self.publish_matches(state);
    }

    pub(super) fn set_state(&self, id: MatchId, session_state: SessionState) {
        let mut state = self.lock();
        if let Some(hosted) = state.matches.get_mut(&id) {
            hosted.state = session_state;
            self.publish_matches(state);
        }
    }

    /// Shows how many matches there are, after that or their states have changed.
    fn publish_matches(&self, state: MutexGuard<'_, State>) {
        for session_state in SessionState::ALL {
            let hosted = state.matches.values();
            let count = hosted.filter(|hosted| hosted.state == session_state);
            telemetry::matches_in(session_state.as_str(), count.count());
        }
        self.count.send_replace(state.matches.len());
        drop(state);
        self.changed.notify_one();
    }

    /// Resolves when something changed since the last call resolved. One of several callers is
    /// woken, so only the task that reports to web-api may call it.
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

    /// Waits until the number of matches is one that is wanted.
    pub async fn wait_count(&self, is_wanted: impl Fn(usize) -> bool) {
        let mut count = self.count.subscribe();
        // It fails when the sender is gone, and that is this directory's.
        let _ = count.wait_for(|count| is_wanted(*count)).await;
    }

    /// Matches hosted now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().matches.len()
    }

    /// The ids of all matches.
    #[must_use]
    pub fn ids(&self) -> Vec<MatchId> {
        self.lock().matches.keys().copied().collect()
    }

    /// What never changes about a match.
    #[must_use]
    pub fn info(&self, id: MatchId) -> Option<Arc<MatchInfo>> {
        let state = self.lock();
        state.matches.get(&id).map(|hosted| hosted.info.clone())
    }

    /// One match as it is now.
    #[must_use]
    pub fn summary(&self, id: MatchId) -> Option<MatchSummary> {
        let state = self.lock();
        let hosted = state.matches.get(&id)?;
        Some(hosted.summary(state.process, self.budget_max))
    }

    /// All matches as they are now.
    #[must_use]
    pub fn summaries(&self) -> Vec<(MatchId, MatchSummary)> {
        let state = self.lock();
        let summary = |hosted: &HostedMatch| hosted.summary(state.process, self.budget_max);
        let matches = state.matches.iter();
        matches.map(|(id, hosted)| (*id, summary(hosted))).collect()
    }

    /// People who watch a match.
    pub(super) fn spectators(&self, id: MatchId) -> u32 {
        let state = self.lock();
        state.matches.get(&id).map_or(0, |hosted| hosted.spectators)
    }

    /// Share of its time that the busiest worker works: 1.0 is all of it.
    #[must_use]
    pub fn busiest_worker(&self) -> f32 {
        self.lock().busiest_worker()
    }

    /// Takes a worker's report of itself and of its matches.
    pub(super) fn record_worker(
        &self,
        worker: usize,
        load: WorkerLoad,
        matches: &[(MatchId, MatchLoad)],
    ) {
        let mut state = self.lock();
        state.workers[worker].load = load;
        for (id, load) in matches {
            if let Some(hosted) = state.matches.get_mut(id) {
                hosted.record_load(*load);
            }
        }
        let entities = state.workers.iter().map(|worker| worker.load.entities);
        telemetry::entities(entities.sum());
    }

    /// Judges every match anew by what its worker reported and by how the process runs.
    pub(super) fn record_process(&self, load: ProcessLoad) {
        let max = self.budget_max;
        let mut state = self.lock();
        let State {
            matches,
            workers,
            process,
            ..
        } = &mut *state;
        let before = *process;
        process.record(load.processor.max(load.network));
        let (mut tick_p99, mut expected) = (0.0_f32, process.load());
        let mut has_changed = false;
        for hosted in matches.values_mut() {
            let admitted = hosted.headroom.admits(before, max);
            let sample = hosted.sample(workers[hosted.info.worker].load.busy);
            tick_p99 = tick_p99.max(hosted.load().tick_p99);
            hosted.headroom.record(sample, *process, max);
            expected = expected.max(hosted.headroom.expected(*process));
            has_changed |= hosted.headroom.admits(*process, max) != admitted;
        }
        let busiest_worker = state.busiest_worker();
        drop(state);
        telemetry::loads([
            ("processor", load.processor),
            ("network", load.network),
            ("worker", busiest_worker),
            ("tick", tick_p99),
        ]);
        telemetry::headroom(max.share() - expected);
        if has_changed {
            self.changed.notify_one();
        }
    }
}

impl State {
    fn check_protocol(&self, ticket: &JoinTicket, hello: &Hello) -> Result<(), RefusalCode> {
        let hosted = self.matches.get(&ticket.match_id);
        let differs = hosted.is_some_and(|hosted| hosted.info.fingerprint != hello.fingerprint);
        // Watching is for thin clients: their frames are encoded once for all of them.
        let watches = matches!((ticket.role, ticket.watch), (Role::Spectator, Some(_)));
        if hello.mode == Mode::Native && (differs || (watches && ticket.seat.is_none())) {
            return Err(RefusalCode::ProtocolMismatch);
        }
        Ok(())
    }

    /// Refuses when there is no time for somebody new. A seat's holder is counted already and may
    /// always return to it.
    fn check_load(&self, ticket: &JoinTicket, max: BudgetMax) -> Result<(), RefusalCode> {
        let Some(hosted) = self.matches.get(&ticket.match_id) else {
            return Ok(());
        };
        let is_seated = || hosted.is_seated(ticket.player);
        let admits = hosted.headroom.admits(self.process, max);
        if admits.allows(ticket.role) || ticket.role == Role::Player && is_seated() {
            return Ok(());
        }
        Err(RefusalCode::Overloaded)
    }

    fn claim_seat(
        &mut self,
        ticket: &JoinTicket,
        seat: Seat,
        resume_secret: [u8; 16],
    ) -> Result<Admission, RefusalCode> {
        let connection = self.next_connection();
        let hosted = self.open_match(ticket.match_id)?;
        let before = hosted.players();
        let holder = SeatHolder {
            player: ticket.player,
            display_name: ticket.display_name.clone(),
            connection,
            resume_secret,
        };
        hosted.claim_seat(seat, holder)?;
        let (info, seated) = (hosted.info.clone(), hosted.players() - before);
        self.players += seated;
        Ok(Admission {
            connection,
            match_id: ticket.match_id,
            info,
            player: ticket.player,
            display_name: ticket.display_name.clone(),
            entry: Entry::Seat {
                seat,
                resume_secret,
            },
        })
    }

    fn add_spectator(
        &mut self,
        ticket: &JoinTicket,
        claim: SpectatorClaim,
    ) -> Result<Admission, RefusalCode> {
        let connection = self.next_connection();
        let feed = SpectatorFeed::of(claim).ok_or(RefusalCode::TicketMalformed)?;
        let hosted = self.open_match(ticket.match_id)?;
        hosted.add_spectator()?;
        Ok(Admission {
            connection,
            match_id: ticket.match_id,
            info: hosted.info.clone(),
            player: ticket.player,
            display_name: ticket.display_name.clone(),
            entry: Entry::Spectator(feed),
        })
    }

    fn open_match(&mut self, id: MatchId) -> Result<&mut HostedMatch, RefusalCode> {
        let hosted = self.matches.get_mut(&id);
        hosted
            .filter(|hosted| hosted.state.is_joinable())
            .ok_or(RefusalCode::MatchUnknown)
    }

    fn next_connection(&mut self) -> ConnectionId {
        self.connections += 1;
        ConnectionId(self.connections)
    }

    fn least_loaded_worker(&self) -> usize {
        let workers = self.workers.iter().enumerate();
        let fewest = workers.min_by_key(|(_, worker)| worker.matches);
        fewest.map_or(0, |(index, _)| index)
    }

    fn busiest_worker(&self) -> f32 {
        let loads = self.workers.iter().map(|worker| worker.load.busy);
        loads.fold(0.0, f32::max)
    }
}
