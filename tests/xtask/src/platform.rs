//! The few calls that differ between Unix and other systems.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A user of the machine, to run a server as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// Number of the user.
    pub(crate) user: u32,
    /// Number of the user's group.
    pub(crate) group: u32,
}

/// A signal that we send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// Ends a process politely; for PostgreSQL: without waiting for its clients.
    Interrupt,
    /// Ends a process that did not listen.
    Kill,
}

/// Puts the command into its own process group: the terminal's Ctrl-C does not reach it, we decide
/// in which order things stop, and its children can be stopped together with it.
pub(crate) fn in_own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Runs the command as `account`.
pub(crate) fn run_as(command: &mut Command, account: Account) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        command.uid(account.user).gid(account.group);
    }
    #[cfg(not(unix))]
    let _ = (command, account);
}

/// Makes `account` the owner of `path`.
pub(crate) fn give(path: &Path, account: Account) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::chown(path, Some(account.user), Some(account.group));
    #[cfg(not(unix))]
    {
        let _ = (path, account);
        Ok(())
    }
}

/// Sends `signal` to the child and to everything that it started; see [`in_own_group`].
pub(crate) fn signal_group(child: &mut Child, signal: Signal) {
    let name = match signal {
        Signal::Interrupt => "-INT",
        Signal::Kill => "-KILL",
    };
    let group = format!("-{}", child.id());
    let sent = Command::new("kill")
        .args([name, "--", &group])
        .stderr(Stdio::null())
        .status();
    if !sent.is_ok_and(|status| status.success()) {
        // Without the `kill` program only the child itself can be stopped; an error here means
        // that it has already ended.
        drop(child.kill());
    }
}
