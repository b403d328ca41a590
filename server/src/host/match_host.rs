//! The pool of workers: starts it, assigns matches to it and sends commands to them. It does not
//! know Bevy, tickets or the control plane.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use gameserver_contract::clock::SharedClock;
use gameserver_contract::ids::{MatchId, PlayerId};
use gameserver_transport::connection::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::commands::{EndReason, MatchCommand, WorkerCommand};
use super::hosted_match::MatchInfo;
use super::match_directory::MatchDirectory;
use super::running_match::WorkerContext;
use super::spec::{FinishedMatch, HostConfig, HostError, MatchSpec};
use super::spectator_inbox::{SpectatorFeed, SpectatorInbox};
use super::{load_probe, spectator_hub, worker};
use crate::games::HostedGames;
use crate::match_log::LogWriters;
use crate::simulation::Entrant;
use crate::telemetry;

/// Commands that may wait for one worker. A worker empties its queue before every tick.
const COMMANDS_MAX: usize = 1_024;
/// Finished matches whose results may wait to be handed in; a match keeps its result while this
/// is full, so nothing is lost.
const RESULTS_MAX: usize = 1_024;

/// The pool of workers.
#[derive(Debug)]
pub struct MatchHost {
    directory: Arc<MatchDirectory>,
    games: HostedGames,
    workers: Vec<Worker>,
    runtime: Handle,
    /// Measures the process.
    _load_probe: AbortOnDropHandle<()>,
    /// After the workers, whose matches write to it.
    _logs: Option<LogWriters>,
}

#[derive(Debug)]
struct Worker {
    commands: SyncSender<WorkerCommand>,
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
    /// Outside of a tokio runtime, which serves the spectators.
    pub fn start(
        config: HostConfig,
        games: HostedGames,
        clock: SharedClock,
    ) -> std::io::Result<(Self, mpsc::Receiver<FinishedMatch>)> {
        let directory = Arc::new(MatchDirectory::new(&config));
        let logs = config.logs.map(LogWriters::start).transpose()?;
        let sink = logs.as_ref().and_then(LogWriters::sink).cloned();
        let (results, finished) = mpsc::channel(RESULTS_MAX);
        let start_worker = |index: usize| {
            let (commands, inbox) = sync_channel(COMMANDS_MAX);
            let context = WorkerContext {
                directory: directory.clone(),
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
        let measured = directory.clone();
        let load_probe = load_probe::run(move |load| measured.record_process(load));
        let host = Self {
            directory,
            games,
            workers,
            runtime: Handle::current(),
            _load_probe: AbortOnDropHandle::new(tokio::spawn(load_probe)),
            _logs: logs,
        };
        Ok((host, finished))
    }

    /// What is hosted, and who is admitted to it.
    #[must_use]
    pub fn directory(&self) -> &Arc<MatchDirectory> {
        &self.directory
    }

    /// The games that can be hosted.
    #[must_use]
    pub fn games(&self) -> &HostedGames {
        &self.games
    }

    /// Hosts a match on the worker with the fewest. A match that is hosted already stays as it
    /// is.
    ///
    /// # Errors
    ///
    /// Why it cannot be hosted.
    pub fn start_match(&self, spec: MatchSpec) -> Result<(), HostError> {
        let game = self.games.get(&spec.game).ok_or(HostError::UnknownGame)?;
        let id = spec.id;
        let (spectators, arrivals) = SpectatorInbox::new();
        let added = self.directory.add(id, |worker| MatchInfo {
            game: game.descriptor.clone(),
            fingerprint: game.fingerprint,
            players_max: spec.settings.players_max,
            worker,
            spectators,
        })?;
        let Some(info) = added else {
            return Ok(());
        };
        let (publish, hub) = spectator_hub::open(
            id,
            game.start.clone(),
            spec.watch_delay,
            self.directory.clone(),
        );
        self.runtime.spawn(hub.run(arrivals));
        let start = WorkerCommand::Start(Box::new(spec), publish);
        let started = self.send_to_worker(info.worker, start);
        if started.is_err() {
            self.directory.remove(id);
        }
        started
    }

    /// Shows a match to an admitted and welcomed spectator. False when the match is gone, or too
    /// many arrive at once; the spectator is not counted any more then.
    #[must_use]
    pub fn watch(&self, id: MatchId, connection: Connection, feed: SpectatorFeed) -> bool {
        // The match may be suspended.
        let is_sent = self.send(id, MatchCommand::Show(feed.view)) == Ok(true);
        let info = self.directory.info(id).filter(|_| is_sent);
        let has_entered = info.is_some_and(|info| info.spectators.send(connection, feed));
        if !has_entered {
            self.directory.remove_spectator(id);
        }
        has_entered
    }

    /// Seats an admitted and welcomed player. False when the match is gone.
    ///
    /// # Errors
    ///
    /// The worker is overloaded; the seat is released and the connection is dropped.
    pub fn enter(&self, id: MatchId, entrant: Entrant) -> Result<bool, HostError> {
        let (seat, connection) = (entrant.seat, entrant.connection_id);
        let result = self.send(id, MatchCommand::Enter(Box::new(entrant)));
        if result.is_err() {
            self.directory.release_seat(id, seat, connection);
        }
        result
    }

    /// Removes a player from a match. False when the match is not hosted here.
    ///
    /// # Errors
    ///
    /// The worker is overloaded.
    pub fn kick(&self, id: MatchId, player: PlayerId, reason: String) -> Result<bool, HostError> {
        self.send(id, MatchCommand::Kick(player, reason))
    }

    /// Ends a match as aborted. False when the match is not hosted here.
    ///
    /// # Errors
    ///
    /// The worker is overloaded.
    pub fn stop_match(&self, id: MatchId) -> Result<bool, HostError> {
        self.send(id, MatchCommand::Stop(EndReason::MatchOver))
    }

    /// The same, and its players learn that the instance goes away.
    ///
    /// # Errors
    ///
    /// The worker is overloaded.
    pub fn shut_match_down(&self, id: MatchId) -> Result<bool, HostError> {
        self.send(id, MatchCommand::Stop(EndReason::Draining))
    }

    /// Takes no new matches and no new players. Those who play learn how long they still have, and
    /// empty matches are ended.
    pub fn drain(&self, grace: Duration) {
        self.directory.drain();
        for id in self.directory.ids() {
            if let Err(error) = self.send(id, MatchCommand::Drain(grace)) {
                tracing::warn!(
                    match.id = %id, error = &error as &dyn std::error::Error,
                    "match not informed of the end of its instance"
                );
            }
        }
    }

    fn send(&self, id: MatchId, command: MatchCommand) -> Result<bool, HostError> {
        let Some(info) = self.directory.info(id) else {
            return Ok(false);
        };
        self.send_to_worker(info.worker, WorkerCommand::Forward(id, command))
            .map(|()| true)
    }

    fn send_to_worker(&self, worker: usize, command: WorkerCommand) -> Result<(), HostError> {
        let sent = self.workers[worker].commands.try_send(command);
        sent.map_err(|_| {
            telemetry::queue_refused("worker_commands");
            HostError::Busy
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
