//! The signals that ask a process to end.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Two stages of stopping: the first signal asks for an orderly end, the second for a quick one.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    /// Finish what is running.
    pub(crate) drain: CancellationToken,
    /// Do not wait for it.
    pub(crate) hurry: CancellationToken,
}

impl Shutdown {
    /// Begins to listen for Ctrl-C, SIGTERM, SIGHUP, which a terminal sends that is closed, and
    /// Ctrl-\ (SIGQUIT), which skips the first stage.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let hang_up = match hang_ups() {
            HangUps::Heard => Some(signal(SignalKind::hangup())?),
            HangUps::Ignored => None,
        };
        Self::listen_with(hang_up)
    }

    /// The same, for a process that takes SIGHUP for something else.
    pub(crate) fn listen_except_for_hang_ups() -> std::io::Result<Self> {
        Self::listen_with(None)
    }

    fn listen_with(hang_up: Option<Signal>) -> std::io::Result<Self> {
        let shutdown = Self {
            drain: CancellationToken::new(),
            hurry: CancellationToken::new(),
        };
        let signals = Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up,
        };
        tokio::spawn(signals.pass_on(shutdown.clone()));
        Ok(shutdown)
    }

    /// The stage that the next signal begins.
    pub(crate) fn next_stage(&self) -> CancellationToken {
        if self.drain.is_cancelled() {
            self.hurry.clone()
        } else {
            self.drain.clone()
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    async fn pass_on(mut self, shutdown: Shutdown) {
        while !shutdown.hurry.is_cancelled() {
            let asks_for = tokio::select! {
                _ = self.interrupt.recv() => shutdown.next_stage(),
                _ = self.terminate.recv() => shutdown.next_stage(),
                () = next(&mut self.hang_up) => shutdown.next_stage(),
                _ = self.quit.recv() => shutdown.hurry.clone(),
            };
            asks_for.cancel();
            // A hurried stop is a stop as well.
            shutdown.drain.cancel();
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

enum HangUps {
    Heard,
    /// As under `nohup`: the process is to live on when its terminal is closed.
    Ignored,
}

/// The disposition of SIGHUP that the process inherited. Only Linux reports it.
fn hang_ups() -> HangUps {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if mask.unwrap_or(0) & SIGHUP_BIT == 0 {
        HangUps::Heard
    } else {
        HangUps::Ignored
    }
}

/// SIGHUP is number 1, the lowest bit.
const SIGHUP_BIT: u64 = 1;
