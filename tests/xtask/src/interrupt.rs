//! Ctrl-C, SIGTERM and SIGHUP as an event to wait for, so that guards still clean up.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Waits for the user to stop the command.
#[derive(Debug)]
pub(crate) struct Interrupts {
    receiver: Receiver<()>,
    seen: Cell<bool>,
}

impl Interrupts {
    /// Takes over the signals of the process; possible once.
    pub(crate) fn listen() -> Result<Self, ctrlc::Error> {
        let (sender, receiver) = sync_channel(1);
        // A full channel means that the first signal is still being handled: nothing to add.
        ctrlc::set_handler(move || {
            let _ = sender.try_send(());
        })?;
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
