//! Runs one command at a time: prints it, waits for it, stops it when the user interrupts, and
//! prints how long it took.

use std::env;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::platform::{self, Signal};

/// How often a running command is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long an interrupted command may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// One command of a list.
#[derive(Debug)]
pub(crate) struct Step {
    /// Completes "failed to …".
    pub(crate) name: &'static str,
    /// Program and arguments; `cargo` means the Cargo that runs us.
    pub(crate) words: Vec<String>,
    /// Set for this command only.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// What to type to run this step alone; `None`: the command itself.
    pub(crate) repeat: Option<String>,
}

impl Step {
    /// A step without variables that is repeated by typing the command itself.
    pub(crate) fn new(name: &'static str, words: &[&str]) -> Self {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Self {
            name,
            words,
            variables: Vec::new(),
            repeat: None,
        }
    }

    fn command_line(&self) -> String {
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={}", quote(value)));
        let words = self.words.iter().map(|word| quote(word));
        variables.chain(words).collect::<Vec<_>>().join(" ")
    }

    fn failure(&self, reason: String) -> Failure {
        match &self.repeat {
            Some(repeat) => Failure::new(self.name, reason, repeat),
            None => Failure::new(self.name, reason, &self.command_line()),
        }
    }
}

/// Runs steps in the root of the repository.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    /// Root of the repository.
    pub(crate) root: &'a Path,
    /// Ctrl-C and its like.
    pub(crate) interrupts: Interrupts,
}

impl<'a> Runner<'a> {
    /// Takes over Ctrl-C.
    pub(crate) fn new(root: &'a Path) -> Result<Self, Failure> {
        let interrupts = Interrupts::listen()
            .map_err(|error| Failure::new("listen for Ctrl-C", error, "cargo xtask help"))?;
        Ok(Self { root, interrupts })
    }

    /// Runs the step to its end.
    pub(crate) fn run(&self, step: &Step) -> Result<(), Failure> {
        println!("$ {}", step.command_line());
        let started = Instant::now();
        let mut command = command(&step.words);
        command
            .current_dir(self.root)
            .envs(step.variables.iter().cloned())
            .stdin(Stdio::null());
        platform::in_own_group(&mut command);
        let mut child = command
            .spawn()
            .map_err(|error| step.failure(error.to_string()))?;
        let status = self
            .wait(&mut child)
            .map_err(|reason| step.failure(reason))?;
        println!("  {}: {:.1} s", step.name, started.elapsed().as_secs_f64());
        if status.success() {
            Ok(())
        } else {
            Err(step.failure(status.to_string()))
        }
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus, String> {
        loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                return Ok(status);
            }
            if self.interrupts.arrived_within(POLL_INTERVAL) {
                stop(child);
                return Err("interrupted".to_owned());
            }
        }
    }
}

/// Stops the child and everything that it started: politely, and after [`STOP_LIMIT`] by force.
fn stop(child: &mut Child) {
    platform::signal_group(child, Signal::Interrupt);
    let started = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if started.elapsed() > STOP_LIMIT {
            platform::signal_group(child, Signal::Kill);
        }
        std::thread::park_timeout(POLL_INTERVAL);
    }
}

/// A command whose environment is that of the user's shell.
///
/// `cargo run` sets variables about xtask's own package. Build scripts that watch them (ring's
/// does) would run again each time the same workspace is built once from here and once by hand.
pub(crate) fn command(words: &[String]) -> Command {
    let (program, arguments) = words.split_first().expect("a step names a program");
    let cargo = env::var_os("CARGO").filter(|_| program == "cargo");
    let mut command = Command::new(cargo.unwrap_or_else(|| program.into()));
    command.args(arguments);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Writes a word so that it can be pasted into a shell.
fn quote(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn a_printed_command_can_be_pasted_into_a_shell() {
        let mut step = Step::new("lint", &["cargo", "clippy", "--", "-D", "warnings"]);
        step.variables
            .push(("RUSTDOCFLAGS", "-D warnings".to_owned()));
        assert_eq!(
            step.command_line(),
            "RUSTDOCFLAGS='-D warnings' cargo clippy -- -D warnings"
        );
    }
}
