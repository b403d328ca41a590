//! Runs a program of games as a user would, and reads what it prints.
//!
//! It knows no game: every such program has the commands of the library `gameserver`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for anything that a process prints or does.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Lines that wait to be read; what is printed beyond is dropped by the process.
const LINES_MAX: usize = 10_000;
const DEV: [&str; 6] = ["dev", "--ephemeral", "--port-http", "0", "--port-game", "0"];

/// The variables of all ports.
const ADDRESSES: [&str; 5] = [
    "GAMESERVER__HTTP__ADDRESS",
    "GAMESERVER__CONTROL__ADDRESS",
    "GAMESERVER__GAME__ADDRESS",
    "GAMESERVER__METRICS__ADDRESS",
    "GAMESERVER__INSTANCE__CONTROL_ADDRESS",
];

/// A program, by its file: `Program(env!("CARGO_BIN_EXE_my-game"))`.
#[derive(Debug, Clone, Copy)]
pub struct Program(pub &'static str);

impl Program {
    /// The program with these arguments, every port a free one and no setting from outside.
    #[must_use]
    pub fn command(self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(self.0);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GAMESERVER")) {
            command.env_remove(name);
        }
        for name in ADDRESSES {
            command.env(name, "127.0.0.1:0");
        }
        // Nor what else the surroundings may hold.
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "NO_PROXY",
            "NO_COLOR",
        ] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command
            // Specs share the machine with compilers, and what these use counts for nobody's
            // matches.
            .env("GAMESERVER__INSTANCE__BUDGET_MAX_PERCENT", "0")
            .env("GAMESERVER__LOG__FORMAT", "json")
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .env_remove("PORT")
            .env_remove("RUST_LOG")
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end: (exit code, stdout, stderr).
    ///
    /// # Panics
    ///
    /// When the program cannot be run, or prints something else than text.
    #[must_use]
    pub fn run(self, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        let mut child = self
            .command(arguments, variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let (mut out, mut err) = (String::new(), String::new());
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let read = stdout.expect("a pipe").read_to_string(&mut out);
        read.expect("text");
        let read = stderr.expect("a pipe").read_to_string(&mut err);
        read.expect("text");
        let status = child.wait().expect("a child");
        (status.code().unwrap_or(-1), out, err)
    }

    /// Starts the program in an empty folder, all ports free ones.
    #[must_use]
    pub fn start(self, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        Process::spawn(self.command(arguments, variables))
    }

    /// The same with the ports that its settings file names.
    #[must_use]
    pub fn start_without_ports(self, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments, &[]);
        for name in ADDRESSES {
            command.env_remove(name);
        }
        Process::spawn(command)
    }

    /// `dev --ephemeral` and what else, ready; and the address of its API.
    #[must_use]
    pub fn dev(self, arguments: &[&str]) -> (Process, String) {
        self.start(&[&DEV[..], arguments].concat(), &[]).greeted()
    }

    /// The same without samples, begun by another program: its words come before the program's.
    #[must_use]
    pub fn dev_under(self, starter: &[&str]) -> (Process, String) {
        let own = self.command(&[&DEV[..], &["--no-bots"]].concat(), &[]);
        let mut all = Command::new(starter[0]);
        all.args(&starter[1..])
            .arg(own.get_program())
            .args(own.get_args());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => all.env(name, value),
                None => all.env_remove(name),
            };
        }
        Process::spawn(all).greeted()
    }
}

/// A running program, killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Its working folder, removed at the end.
    _folder: TempDir,
}

impl Process {
    fn spawn(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = command
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
        });
        Self {
            child,
            lines,
            _folder: folder,
        }
    }

    /// Waits for the greeting of `dev`, and takes the API's address from it.
    fn greeted(self) -> (Self, String) {
        let mut process = self;
        let line = process.wait_for_line("REST API");
        let base = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let api = base
            .and_then(|url| url.strip_suffix("/api/v1"))
            .expect("the API's address");
        (process, api.to_owned())
    }

    /// The first line from now on that contains this text.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            assert!(line.is_ok(), "no line with {text:?} was printed");
            let line = line.unwrap_or_default();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// All lines up to the first that contains this text.
    pub fn lines_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.wait_for_line("");
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    ///
    /// # Panics
    ///
    /// When there is no such process any more.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process did not end");
            // The output is read on, so that the process never waits for us.
            let _ = self.lines.recv_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
