//! Ctrl-C, SIGTERM and SIGHUP as an event to wait for, so that guards still clean up.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Waits for the user to stop the command.
#[derive(Debug)]
pub(crate) struct Interrupts {
    receiver: Receiver<()>,
    seen: Cell<bool>,
}

impl Interrupts {
    /// Takes over the signals of the process. Where there are no signals, nothing ever arrives and
    /// Ctrl-C ends the process as usual.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(1);
        forward_signals(sender)?;
        Ok(Self {
            receiver,
            seen: Cell::new(false),
        })
    }

    /// Waits up to `limit`, and says whether the command was interrupted now or earlier.
    pub(crate) fn arrived_within(&self, limit: Duration) -> bool {
        if !self.seen.get() && self.receiver.recv_timeout(limit).is_ok() {
            self.seen.set(true);
        }
        self.seen.get()
    }

    /// Waits for the interruption.
    pub(crate) fn wait(&self) {
        while !self.arrived_within(Duration::from_mins(1)) {}
    }
}

#[cfg(unix)]
fn forward_signals(sender: SyncSender<()>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // A full channel means that the first signal is still being handled: nothing to add.
            let _ = sender.try_send(());
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn forward_signals(sender: SyncSender<()>) -> io::Result<()> {
    // Never closed: a closed channel would make every wait end at once.
    std::mem::forget(sender);
    Ok(())
}
