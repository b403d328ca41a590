//! Spreads thousands of bots over threads.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use gameserver_shared::bot::ThinBots;
use gameserver_transport::connection::Connection;
use tokio::runtime::Handle;

use super::reporter::Reporter;
use super::shard::{Shard, ShardCommand};
use super::swarm_bot::SwarmBot;
use super::task_delays::TaskDelays;

/// Commands on their way to one thread; arrivals wait while there are so many.
const COMMANDS_MAX: usize = 1_024;

/// Threads with a shard of the bots each.
pub(super) struct Swarm<G: ThinBots> {
    threads: Vec<ShardThread<G>>,
    /// Bots that were added.
    added: usize,
    /// Bots that were asked to leave.
    removed: usize,
}

/// Sends commands to a thread, which ends with the connections that are still open.
type ShardThread<G> = (SyncSender<ShardCommand<G>>, JoinHandle<Vec<Connection>>);

impl<G: ThinBots> Swarm<G> {
    /// Starts so many threads. Each reports a window every second, with its number. The bots'
    /// network runs on that runtime.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread.
    pub(super) fn start(
        threads: usize,
        tick: Duration,
        reporter: &Reporter,
        runtime: &Handle,
    ) -> std::io::Result<Self> {
        let start_thread = |index: usize| {
            let (sender, commands) = sync_channel(COMMANDS_MAX);
            let shard = Shard::new(reporter.for_thread(index), TaskDelays::watch(runtime));
            let thread = std::thread::Builder::new()
                .name(format!("swarm-{index}"))
                .spawn(move || shard.run(&commands, tick))?;
            Ok((sender, thread))
        };
        let threads = (0..threads.max(1))
            .map(start_thread)
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            threads,
            added: 0,
            removed: 0,
        })
    }

    /// Adds a bot.
    pub(super) fn add(&mut self, bot: SwarmBot<G>) {
        self.send(self.added, ShardCommand::Add(Box::new(bot)));
        self.added += 1;
    }

    /// Lets the player leave who has been there longest.
    pub(super) fn remove_one(&mut self) {
        self.send(self.removed, ShardCommand::RemoveOldest);
        self.removed += 1;
    }

    /// From now on, what bots have counts.
    pub(super) fn start_measuring(&self) {
        for thread in 0..self.threads.len() {
            self.send(thread, ShardCommand::StartMeasuring);
        }
    }

    /// Bots are spread over the threads in turn.
    fn send(&self, turn: usize, command: ShardCommand<G>) {
        let (thread, _) = &self.threads[turn % self.threads.len()];
        if thread.send(command).is_err() {
            tracing::error!("a swarm thread has ended");
        }
    }

    /// Lets everybody leave. Returns the connections that are about to end.
    pub(super) fn finish(self) -> Vec<Connection> {
        let mut leaving = Vec::new();
        for (sender, thread) in self.threads {
            drop(sender);
            if let Ok(connections) = thread.join() {
                leaving.extend(connections);
            } else {
                tracing::error!("a swarm thread panicked");
            }
        }
        leaving
    }
}
