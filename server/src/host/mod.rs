//! Hosts matches: a pool of worker threads, each stepping many matches at their own tick rates.

mod audience;
mod board;
mod headroom;
mod pulse;
mod recent_ticks;
mod running_match;
mod stagger;
mod worker;

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gameserver_contract::clock::SharedClock;
use gameserver_contract::ids::{MatchId, PlayerId, SessionId};
use gameserver_contract::result::MatchResult;
use gameserver_control::result_signature::ResultKey;
use gameserver_shared::flow::MatchSettings;
use gameserver_transport::connection::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use audience::Entrance;
pub use audience::{DELAY_MAX, Watch};
pub use board::{Board, MatchFacts, SeatClaim, SeatHolder};
pub use headroom::{Admits, BudgetMax, Headroom, MEASURE_INTERVAL, RETRY_AFTER};
use running_match::Goodbye;
use worker::{Command, Told};

use crate::games::Games;
use crate::match_log::{LogFolder, LogWriters};
use crate::simulation::Entrant;
use crate::telemetry;

/// Commands that may wait for one worker. A worker empties its queue before every tick.
const COMMANDS_MAX: usize = 1_024;
/// Finished matches whose results may wait to be handed in; a match keeps its result while this
/// is full, so nothing is lost.
const RESULTS_MAX: usize = 1_024;

/// How long a match that nobody is in is kept for somebody to come: as long as it takes to send a
/// friend the join code, and then some.
pub const EMPTY_MATCH_LIFETIME: Duration = Duration::from_mins(1);

/// What a host needs to know.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Worker threads.
    pub workers: usize,
    /// Matches at once.
    pub matches_max: usize,
    /// How long a seat is held for a player whose connection broke.
    pub resume_window: Duration,
    /// A match that nobody has been in for so long is ended: see [`EMPTY_MATCH_LIFETIME`].
    pub empty_match_lifetime: Duration,
    /// Where matches are recorded; nowhere when absent.
    pub logs: Option<LogFolder>,
    /// Nobody new is admitted above this load.
    pub budget_max: BudgetMax,
}

/// A match to be hosted.
#[derive(Debug, Clone)]
pub struct MatchSpec {
    /// The match.
    pub id: MatchId,
    /// Its session.
    pub session: SessionId,
    /// Its game.
    pub game: gameserver_contract::ids::GameId,
    /// What it is to be.
    pub settings: MatchSettings,
    /// Signs its result.
    pub result_key: ResultKey,
    /// How long after it happened watchers see it at the earliest, cut to [`DELAY_MAX`]: what is
    /// shown is kept for so long from the start, so that nobody who comes has to wait for it.
    pub watch_delay: Duration,
}

/// A result on its way home.
#[derive(Debug, Clone)]
pub struct FinishedMatch {
    /// The result.
    pub result: MatchResult,
    /// Signs it.
    pub result_key: ResultKey,
}

/// Why the host did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The game is not hosted here.
    #[error("host a game that this instance does not have")]
    UnknownGame,
    /// As many matches as configured are hosted.
    #[error("host more matches than allowed")]
    Full,
    /// The worker's queue is full.
    #[error("reach a worker that is overloaded")]
    Busy,
    /// The instance takes no new matches.
    #[error("start a match while draining")]
    Draining,
}

/// The pool of workers.
#[derive(Debug)]
pub struct MatchHost {
    board: Arc<Board>,
    games: Games,
    workers: Vec<Worker>,
    matches_max: usize,
    /// Where watchers go in, by match.
    entrances: Mutex<BTreeMap<MatchId, Entrance>>,
    runtime: Handle,
    /// Measures the process.
    _pulse: AbortOnDropHandle<()>,
    /// After the workers, whose matches write to it.
    _logs: Option<LogWriters>,
}

#[derive(Debug)]
struct Worker {
    commands: SyncSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl MatchHost {
    /// Starts the workers. Results come out of the receiver.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread, or no folder for the logs.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, which serves the watchers.
    pub fn start(
        config: HostConfig,
        games: Games,
        clock: SharedClock,
    ) -> std::io::Result<(Self, mpsc::Receiver<FinishedMatch>)> {
        let board = Arc::new(Board::new(config.budget_max));
        let logs = config.logs.map(LogWriters::start).transpose()?;
        let sink = logs.as_ref().and_then(LogWriters::sink).cloned();
        let (results, finished) = mpsc::channel(RESULTS_MAX);
        let start_worker = |index: usize| {
            let (commands, inbox) = sync_channel(COMMANDS_MAX);
            let context = worker::Context {
                board: board.clone(),
                games: games.clone(),
                clock: clock.clone(),
                results: results.clone(),
                resume_window: config.resume_window,
                empty_match_lifetime: config.empty_match_lifetime,
                logs: sink.clone(),
                worker: index,
            };
            let thread = std::thread::Builder::new()
                .name(format!("match-worker-{index}"))
                .spawn(move || worker::run(&inbox, context))?;
            Ok(Worker {
                commands,
                thread: Some(thread),
            })
        };
        let workers = (0..config.workers.max(1))
            .map(start_worker)
            .collect::<std::io::Result<_>>()?;
        let pulse = AbortOnDropHandle::new(tokio::spawn(pulse::run(board.clone())));
        Ok((
            Self {
                board,
                games,
                workers,
                matches_max: config.matches_max,
                entrances: Mutex::default(),
                runtime: Handle::current(),
                _pulse: pulse,
                _logs: logs,
            },
            finished,
        ))
    }

    /// What is hosted, for everybody who only looks.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The games that can be hosted.
    #[must_use]
    pub fn games(&self) -> &Games {
        &self.games
    }

    /// Hosts a match on the worker with the fewest. A match that is hosted already stays as it
    /// is.
    ///
    /// # Errors
    ///
    /// Why it cannot be hosted.
    pub fn start_match(&self, spec: MatchSpec) -> Result<(), HostError> {
        // Held to the end, so that of two calls for one match the second finds it.
        let mut entrances = self.entrances();
        if self.board.facts(spec.id).is_some() {
            return Ok(());
        }
        if self.board.is_draining() {
            return Err(HostError::Draining);
        }
        let game = self.games.get(&spec.game).ok_or(HostError::UnknownGame)?;
        if self.board.count() >= self.matches_max {
            return Err(HostError::Full);
        }
        let worker = self.board.quietest_worker(self.workers.len());
        self.board.add(&spec, game, worker);
        let (id, start) = (spec.id, game.start.clone());
        let board = self.board.clone();
        let (publish, entrance) = audience::open(id, start, spec.watch_delay, board, &self.runtime);
        let sent = self.send(worker, Command::Start(Box::new(spec), publish));
        if sent.is_err() {
            self.board.remove(id);
            return sent;
        }
        entrances.retain(|id, _| self.board.facts(*id).is_some());
        entrances.insert(id, entrance);
        Ok(())
    }

    fn entrances(&self) -> MutexGuard<'_, BTreeMap<MatchId, Entrance>> {
        self.entrances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody watch who was counted in and welcomed. False when the match is gone, or too
    /// many come at once; they are counted out then.
    pub fn watch(&self, id: MatchId, connection: Connection, watch: Watch) -> bool {
        // The match may be resting.
        if self.tell(id, Told::Show(watch.view)) != Ok(true) {
            self.board.spectator_gone(id);
            return false;
        }
        let entrances = self.entrances();
        let entered = entrances
            .get(&id)
            .is_some_and(|entrance| entrance.enter(connection, watch));
        if !entered {
            self.board.spectator_gone(id);
        }
        entered
    }

    /// Lets somebody in who holds a seat claim and was welcomed. False when the match is gone.
    ///
    /// # Errors
    ///
    /// The worker is overloaded; the claim is given back and the connection is dropped.
    pub fn enter(&self, id: MatchId, entrant: Entrant) -> Result<bool, HostError> {
        let seat = entrant.seat;
        let told = self.tell(id, Told::Enter(Box::new(entrant)));
        if told.is_err() {
            self.board.free_seat(id, seat);
        }
        told
    }

    /// Removes a player from a match. False when the match is not hosted here.
    ///
    /// # Errors
    ///
    /// The worker is overloaded.
    pub fn kick(&self, id: MatchId, player: PlayerId, reason: String) -> Result<bool, HostError> {
        self.tell(id, Told::Kick(player, reason))
    }

    /// Ends a match as aborted. False when the match is not hosted here.
    ///
    /// # Errors
    ///
    /// The worker is overloaded.
    pub fn stop_match(&self, id: MatchId) -> Result<bool, HostError> {
        self.tell(id, Told::Stop(Goodbye::MatchOver))
    }

    /// The same, and its players are told that the instance goes away.
    ///
    /// # Errors
    ///
    /// The worker is overloaded.
    pub fn shut_match_down(&self, id: MatchId) -> Result<bool, HostError> {
        self.tell(id, Told::Stop(Goodbye::Draining))
    }

    /// Takes no new matches and no new players. Those who play are told how long they still have,
    /// and empty matches are ended.
    pub fn drain(&self, grace: Duration) {
        self.board.drain();
        for id in self.board.all().into_keys() {
            if let Err(error) = self.tell(id, Told::Drain(grace)) {
                tracing::warn!(
                    match.id = %id, error = &error as &dyn std::error::Error,
                    "match not told of the end of its instance"
                );
            }
        }
    }

    fn tell(&self, id: MatchId, told: Told) -> Result<bool, HostError> {
        let Some(facts) = self.board.facts(id) else {
            return Ok(false);
        };
        self.send(facts.worker, Command::Tell(id, told))
            .map(|()| true)
    }

    fn send(&self, worker: usize, command: Command) -> Result<(), HostError> {
        self.workers[worker]
            .commands
            .try_send(command)
            .map_err(|refused| match refused {
                TrySendError::Full(_) | TrySendError::Disconnected(_) => {
                    telemetry::queue_refused("worker_commands");
                    HostError::Busy
                }
            })
    }
}

impl Drop for MatchHost {
    /// Ends the workers with their matches, and waits for them.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // A full queue also ends the worker: its other end is dropped here.
            let (nobody, _) = sync_channel(0);
            drop(std::mem::replace(&mut worker.commands, nobody));
        }
        for thread in self
            .workers
            .iter_mut()
            .filter_map(|worker| worker.thread.take())
        {
            if thread.join().is_err() {
                tracing::error!("a match worker panicked");
            }
        }
    }
}
