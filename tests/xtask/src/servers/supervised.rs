//! A server process that cannot outlive us.
//!
//! Between us and the server stands a small shell script that holds the reading end of a pipe. We
//! hold the writing end, so the system closes it however we end: normally, by a panic or by
//! SIGKILL. The script then stops the server and removes its data.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::interrupt::Interrupts;
use crate::platform::{self, Account, Signal};

/// First argument: the data folder; the others: the server's command line. The server's SIGINT
/// means "stop now, without waiting for clients" to PostgreSQL and to Redis.
const SUPERVISOR: &str = r#"
folder=$1
shift
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
{ read -r _ <&3; kill -INT "$server"; } 2>/dev/null &
watcher=$!
wait "$server"
code=$?
kill "$watcher" 2>/dev/null
rm -rf "$folder"
exit "$code"
"#;
/// Probes before a server counts as not starting: 600 × 50 ms = 30 s.
const PROBES_MAX: u32 = 600;
/// Pause between two probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// Time for one probe's answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for a server to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// For messages.
    pub(crate) name: &'a str,
    /// The server's program and arguments.
    pub(crate) command_line: Vec<String>,
    /// Where its data is; removed when it ends.
    pub(crate) folder: PathBuf,
    /// Another user to run as.
    pub(crate) account: Option<Account>,
    /// The port that the command line names.
    pub(crate) port: u16,
    /// Sent to see whether the server is ready.
    pub(crate) probe: &'a [u8],
    /// First bytes of a ready server's answer.
    pub(crate) ready_answer: &'a [u8],
}

/// A running server. Dropping it stops the server and removes its data.
#[derive(Debug)]
pub(crate) struct Supervised {
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    child: Child,
    folder: PathBuf,
    log: File,
}

impl Supervised {
    /// Starts the server and waits until it answers the probe.
    ///
    /// `AddrInUse` means that another port should be tried.
    pub(crate) fn start(plan: &Plan<'_>, interrupts: &Interrupts) -> io::Result<Self> {
        let log_path = plan.folder.join("server.log");
        let output = File::create(&log_path)?;
        // Opened on its own, so that it can still be read after the folder is gone.
        let log = File::open(&log_path)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(&plan.folder)
            .args(&plan.command_line);
        command.current_dir(&plan.folder).stdin(Stdio::piped());
        command.stdout(output.try_clone()?).stderr(output);
        platform::in_own_group(&mut command);
        if let Some(account) = plan.account {
            platform::run_as(&mut command, account);
        }
        let child = command.spawn()?;
        let mut server = Self {
            port: plan.port,
            child,
            folder: plan.folder.clone(),
            log,
        };
        server.wait_until_ready(plan, interrupts)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, plan: &Plan<'_>, interrupts: &Interrupts) -> io::Result<()> {
        for _ in 0..PROBES_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.explain_exit(plan.name, &status.to_string()));
            }
            if answers(plan) {
                return Ok(());
            }
            if interrupts.arrived_within(PROBE_INTERVAL) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
            }
        }
        let log = self.read_log();
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{} is not ready\n{log}", plan.name),
        ))
    }

    fn explain_exit(&mut self, name: &str, status: &str) -> io::Error {
        let log = self.read_log();
        let lost_the_port = log.to_lowercase().contains("address already in use");
        let kind = if lost_the_port {
            io::ErrorKind::AddrInUse
        } else {
            io::ErrorKind::Other
        };
        io::Error::new(kind, format!("{name} ended with {status}\n{log}"))
    }

    fn read_log(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.log.read_to_end(&mut bytes) {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(its log cannot be read: {error})"),
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if started.elapsed() > STOP_LIMIT {
                platform::signal_group(&mut self.child, Signal::Kill);
            }
            std::thread::park_timeout(PROBE_INTERVAL);
        }
        remove_folder(&self.folder);
    }
}

/// Removes the folder when the supervisor could not.
fn remove_folder(folder: &Path) {
    if folder.exists()
        && let Err(error) = fs::remove_dir_all(folder)
    {
        eprintln!("could not remove {}: {error}", folder.display());
    }
}

/// Whether the server gives the answer of a ready one.
fn answers(plan: &Plan<'_>) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.port));
    let ask = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        stream.write_all(plan.probe)?;
        let mut answer = vec![0; plan.ready_answer.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer == plan.ready_answer)
}
