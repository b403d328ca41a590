//! `cargo xtask fuzz`: every target of `fuzz/` for a while. It knows no target: it takes the names
//! of the files, and what libFuzzer says at the end.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use crate::failure::Failure;
use crate::step::{Runner, Step};

/// What is installed when there is none.
const CARGO_FUZZ_VERSION: &str = "0.13.2";
/// Seconds of each target, unless the user says how many.
const SECONDS_DEFAULT: u32 = 60;
/// Lines shown of a target that failed.
const LINES_SHOWN_MAX: usize = 60;
/// Sanitizers are unstable: this makes the stable toolchain take their options.
const UNSTABLE: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// Runs every target for so many seconds. The first that fails ends it.
pub(crate) fn fuzz(runner: &Runner<'_>, seconds: Option<&str>) -> Result<(), Failure> {
    let usage = "cargo xtask fuzz 60";
    let seconds = seconds.map_or(Ok(SECONDS_DEFAULT), str::parse);
    let seconds = seconds.map_err(|error| Failure::new("read the seconds", error, usage))?;
    let targets = targets(runner.root)
        .map_err(|error| Failure::new("list the fuzz targets", error, usage))?;
    if !is_installed(runner.root) {
        runner.run(&install())?;
    }
    let mut build = Step::new("build the fuzz targets", &["cargo", "fuzz", "build"]);
    build.variables.push((UNSTABLE.0, UNSTABLE.1.to_owned()));
    runner.run(&build)?;
    for target in &targets {
        run(runner, target, seconds)?;
    }
    println!("all {} targets passed", targets.len());
    Ok(())
}

/// The names of the targets, in order.
fn targets(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/fuzz_targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

fn is_installed(root: &Path) -> bool {
    let mut command = cargo(root, &["fuzz", "--version"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn install() -> Step {
    let words = ["cargo", "install", "cargo-fuzz", "--locked", "--version"];
    let words = [&words[..], &[CARGO_FUZZ_VERSION]].concat();
    Step::new("install cargo-fuzz", &words)
}

fn run(runner: &Runner<'_>, target: &str, seconds: u32) -> Result<(), Failure> {
    let limit = format!("-max_total_time={seconds}");
    let words = ["fuzz", "run", target, "--", &limit, "-print_final_stats=1"];
    let line = format!("{}={} cargo {}", UNSTABLE.0, UNSTABLE.1, words.join(" "));
    println!("$ {line}");
    let failure = |reason: String| Failure::new("fuzz", reason, &line);
    let mut output = Output::default();
    // It shares our group, so that Ctrl-C reaches libFuzzer, which then ends by itself.
    let mut child = cargo(runner.root, &words)
        .env(UNSTABLE.0, UNSTABLE.1)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failure(error.to_string()))?;
    if let Some(stderr) = child.stderr.take() {
        let lines = BufReader::new(stderr).split(b'\n');
        lines
            .map_while(Result::ok)
            .for_each(|line| output.take(&String::from_utf8_lossy(&line)));
    }
    let status = child.wait().map_err(|error| failure(error.to_string()))?;
    println!("  {target}: {}", output.summary());
    if runner.interrupts.arrived_within(Duration::ZERO) {
        return Err(failure("interrupted".to_owned()));
    }
    if status.success() {
        return Ok(());
    }
    Err(failure(format!("{}\n{status}", output.last_lines())))
}

/// A Cargo command in the root, without what `cargo run` says about xtask's own package.
fn cargo(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// What libFuzzer says: its numbers, and the last lines for when it fails.
#[derive(Debug, Default)]
struct Output {
    executions: Option<u64>,
    executions_per_second: Option<u64>,
    edges: Option<u64>,
    lines: VecDeque<String>,
}

impl Output {
    fn take(&mut self, line: &str) {
        let number_after = |label: &str| {
            let (_, behind) = line.split_once(label)?;
            behind.split_whitespace().next()?.parse().ok()
        };
        let stat = number_after("stat::number_of_executed_units:");
        self.executions = stat.or(self.executions);
        let stat = number_after("stat::average_exec_per_sec:");
        self.executions_per_second = stat.or(self.executions_per_second);
        self.edges = number_after(" cov: ").or(self.edges);
        if self.lines.len() == LINES_SHOWN_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    fn summary(&self) -> String {
        let shown = |number: Option<u64>| {
            number.map_or_else(|| "?".to_owned(), |number| number.to_string())
        };
        format!(
            "{} executions, {} a second, {} edges covered",
            shown(self.executions),
            shown(self.executions_per_second),
            shown(self.edges)
        )
    }

    fn last_lines(&self) -> String {
        self.lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::Output;

    #[test]
    fn the_numbers_of_libfuzzer_are_found() {
        let mut output = Output::default();
        for line in [
            "#65536\tpulse  cov: 411 ft: 1022 corp: 120/9Kb lim: 652 exec/s: 21845 rss: 61Mb",
            "#81920\tDONE   cov: 412 ft: 1030 corp: 121/9Kb lim: 652 exec/s: 20480 rss: 61Mb",
            "stat::number_of_executed_units: 81920",
            "stat::average_exec_per_sec:     20480",
        ] {
            output.take(line);
        }
        let expected = "81920 executions, 20480 a second, 412 edges covered";
        assert_eq!(output.summary(), expected);
        assert!(output.last_lines().ends_with("20480"));
    }
}
