//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};
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
    /// Begins to listen for signals.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let shutdown = Self {
            drain: CancellationToken::new(),
            hurry: CancellationToken::new(),
        };
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let stages = [shutdown.drain.clone(), shutdown.hurry.clone()];
        tokio::spawn(async move {
            for stage in stages {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                stage.cancel();
            }
        });
        Ok(shutdown)
    }
}
