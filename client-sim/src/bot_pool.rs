//! Runs many bots on a few threads, each at the game's frame rate.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gameserver_shared::bot::BotPolicy;
use gameserver_shared::protocol::tick_duration;
use tokio::runtime::Handle;

use crate::bot::{Bot, BotSpec, BotStats};

/// How often the bots' numbers are brought up to date for those who look.
const STATS_INTERVAL: Duration = Duration::from_millis(500);

/// Bots that are playing.
#[derive(Debug)]
pub struct BotPool {
    threads: Vec<JoinHandle<()>>,
    stop: Vec<SyncSender<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stats: Mutex<Vec<BotStats>>,
    /// Longest time that a frame began too late.
    lag_max: Mutex<Duration>,
}

impl BotPool {
    /// Starts the bots, spread over so many threads.
    ///
    /// # Errors
    ///
    /// The operating system gave no thread.
    pub fn start<G: BotPolicy>(
        bots: Vec<BotSpec>,
        threads: usize,
        runtime: &Handle,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let named = bots.iter().map(|bot| BotStats {
            name: bot.name.clone(),
            ..Default::default()
        });
        *lock(&shared.stats) = named.collect();
        let mut pool = Self {
            threads: Vec::new(),
            stop: Vec::new(),
            shared,
        };
        let share = bots.len().div_ceil(threads.max(1)).max(1);
        for (index, part) in bots.chunks(share).enumerate() {
            let (stop, stopped) = sync_channel(1);
            let (part, runtime, shared) = (part.to_vec(), runtime.clone(), pool.shared.clone());
            let first = index * share;
            let thread = std::thread::Builder::new()
                .name(format!("bots-{index}"))
                .spawn(move || run::<G>(part, first, runtime, &stopped, &shared))?;
            pool.threads.push(thread);
            pool.stop.push(stop);
        }
        Ok(pool)
    }

    /// Every bot's numbers, half a second old at most.
    #[must_use]
    pub fn stats(&self) -> Vec<BotStats> {
        lock(&self.shared.stats).clone()
    }

    /// The longest time that a frame of this process began too late: the bots' own lag.
    #[must_use]
    pub fn lag_max(&self) -> Duration {
        *lock(&self.shared.lag_max)
    }

    /// True when every bot has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Lets those who still play say goodbye, and returns everybody's last numbers.
    #[must_use]
    pub fn finish(self) -> Vec<BotStats> {
        drop(self.stop);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a bot thread panicked");
            }
        }
        std::mem::take(&mut lock(&self.shared.stats))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<G: BotPolicy>(
    specs: Vec<BotSpec>,
    first: usize,
    runtime: Handle,
    stopped: &Receiver<()>,
    shared: &Shared,
) {
    let mut bots: Vec<_> = specs
        .into_iter()
        .map(|spec| Bot::<G>::start(spec, runtime.clone()))
        .collect();
    let frame = tick_duration::<G>();
    let mut due = Instant::now();
    let mut stats_due = due;
    loop {
        let playing = bots
            .iter_mut()
            .map(Bot::frame)
            .filter(|playing| *playing)
            .count();
        if stats_due <= Instant::now() {
            stats_due += STATS_INTERVAL;
            publish(&mut bots, first, shared);
        }
        if playing == 0 {
            break publish(&mut bots, first, shared);
        }
        due += frame;
        let late = Instant::now().saturating_duration_since(due);
        note_lag(shared, late);
        if late > frame * 5 {
            due = Instant::now();
        }
        let wait = due.saturating_duration_since(Instant::now());
        match stopped.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                bots.iter_mut().for_each(Bot::leave);
                break publish(&mut bots, first, shared);
            }
        }
    }
}

fn note_lag(shared: &Shared, late: Duration) {
    let mut lag_max = lock(&shared.lag_max);
    *lag_max = late.max(*lag_max);
}

fn publish<G: BotPolicy>(bots: &mut [Bot<G>], first: usize, shared: &Shared) {
    let mut stats = lock(&shared.stats);
    for (bot, stats) in bots.iter_mut().zip(&mut stats[first..]) {
        *stats = bot.update_stats().clone();
    }
}
