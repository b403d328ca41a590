//! How to create and start a PostgreSQL that trusts this machine and does not wait for the disk.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::install::Installation;
use super::supervised::{Plan, Supervised};
use crate::interrupt::Interrupts;
use crate::platform;

/// Start-up message of protocol 3.0 for user and database `postgres`: a server that is still
/// starting answers with an error, a ready one with `R` (authentication).
const PROBE: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";

/// Creates a cluster and starts it on `port`.
pub(super) fn start(
    installation: &Installation,
    port: u16,
    interrupts: &Interrupts,
) -> io::Result<Supervised> {
    let folder = super::data_folder("postgres", port)?;
    create_cluster(installation, &folder).inspect_err(|_| {
        // The first error is the one to report.
        drop(fs::remove_dir_all(&folder));
    })?;
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        "max_connections=200".to_owned(),
        // The data is thrown away: durability would only cost time.
        "fsync=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "full_page_writes=off".to_owned(),
    ];
    let mut command_line = vec![installation.postgres("postgres"), "-D".to_owned()];
    command_line.push(folder.join("cluster").display().to_string());
    command_line.extend(
        settings
            .into_iter()
            .flat_map(|setting| ["-c".to_owned(), setting]),
    );
    let plan = Plan {
        name: "PostgreSQL",
        command_line,
        folder,
        account: installation.postgres_account,
        port,
        probe: PROBE,
        ready_answer: b"R",
    };
    Supervised::start(&plan, interrupts)
}

fn create_cluster(installation: &Installation, folder: &Path) -> io::Result<()> {
    let mut command = Command::new(installation.postgres("initdb"));
    command
        .args([
            "--username=postgres",
            "--auth=trust",
            "--no-locale",
            "--encoding=UTF8",
        ])
        .args(["--no-sync", "--no-instructions", "--pgdata", "cluster"])
        .current_dir(folder)
        .stdin(Stdio::null());
    if let Some(account) = installation.postgres_account {
        platform::give(folder, account)?;
        platform::run_as(&mut command, account);
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!(
        "initdb ended with {}\n{told}",
        output.status
    )))
}

#[cfg(test)]
mod tests {
    use super::PROBE;

    #[test]
    fn the_start_up_message_tells_its_own_length() {
        let told = u32::from_be_bytes([PROBE[0], PROBE[1], PROBE[2], PROBE[3]]);
        assert_eq!(usize::try_from(told).unwrap(), PROBE.len());
    }
}
