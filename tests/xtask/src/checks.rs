//! The lists of steps behind `cargo xtask test` and `cargo xtask check`.
//!
//! One profile and no flags of our own: the artefacts are the same as those of a plain
//! `cargo build`, so nothing is compiled twice.

use std::time::Instant;

use crate::clients::{self, Clients};
use crate::failure::Failure;
use crate::packages::Packages;
use crate::servers::{Installation, Servers};
use crate::step::{Runner, Step};

/// Runs everything that must pass before a change is accepted.
pub(crate) fn test_everything(runner: &Runner<'_>) -> Result<(), Failure> {
    let started = Instant::now();
    // First, because a missing server should not be noticed only after minutes of building.
    let packages = Packages::new(runner);
    let installation = Installation::find_or_install(&packages)?;
    let clients = Clients::find_or_install(&packages)?;
    runner.run(&format())?;
    clients.test(runner)?;
    runner.run(&lint())?;
    runner.run(&document())?;
    let servers = Servers::start(runner, &installation)?;
    let variables = [servers.variables(), clients.variables()].concat();
    runner.run(&tests(&["--workspace"], variables))?;
    drop(servers);
    println!("all passed in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs `cargo test` with the user's arguments, and nothing else. Only the servers are installed:
/// most tests do without the other languages, and those that do not say what to run.
pub(crate) fn test_selected(runner: &Runner<'_>, passed_on: &[&str]) -> Result<(), Failure> {
    let installation = Installation::find_or_install(&Packages::new(runner))?;
    let servers = Servers::start(runner, &installation)?;
    let clients = clients::variables_of_what_is_there(runner.root);
    let variables = [servers.variables(), clients].concat();
    runner.run(&tests(&with_packages(passed_on), variables))
}

/// Runs what needs no servers: format, lints and the repository's own rules.
pub(crate) fn check(runner: &Runner<'_>) -> Result<(), Failure> {
    runner.run(&format())?;
    runner.run(&lint())?;
    let specs = [
        "cargo",
        "test",
        "--locked",
        "--package",
        "gameserver-tests",
        "--test",
        "specs",
    ];
    let rules = ["--", "repo::", "docker::"];
    runner.run(&Step::new(
        "keep the repository's rules",
        &[&specs[..], &rules].concat(),
    ))
}

fn format() -> Step {
    Step::new("format", &["cargo", "fmt", "--all", "--check"])
}

fn lint() -> Step {
    let words = [
        "cargo",
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
    ];
    Step::new("lint", &[&words[..], &["--", "-D", "warnings"]].concat())
}

fn document() -> Step {
    let words = ["cargo", "doc", "--workspace", "--no-deps", "--locked"];
    let mut step = Step::new(
        "document",
        &[&words[..], &["--document-private-items"]].concat(),
    );
    step.variables
        .push(("RUSTDOCFLAGS", "-D warnings".to_owned()));
    step
}

fn tests(passed_on: &[&str], variables: Vec<(&'static str, String)>) -> Step {
    let mut step = Step::new(
        "test",
        &[&["cargo", "test", "--locked"], passed_on].concat(),
    );
    step.variables = variables;
    // The command line alone would not repeat it: the servers are gone by then.
    step.repeat = Some(format!("cargo xtask test {}", passed_on.join(" ")));
    step
}

/// The whole workspace, unless the user names packages.
fn with_packages<'a>(passed_on: &[&'a str]) -> Vec<&'a str> {
    let own = passed_on.iter().take_while(|&&word| word != "--");
    let names_packages = own.clone().any(|word| {
        *word == "--workspace" || word.starts_with("--package") || word.starts_with("-p")
    });
    let mut words = if names_packages {
        Vec::new()
    } else {
        vec!["--workspace"]
    };
    words.extend_from_slice(passed_on);
    words
}

#[cfg(test)]
mod tests {
    use super::with_packages;

    #[test]
    fn a_filter_alone_runs_over_the_whole_workspace() {
        assert_eq!(with_packages(&["--", "-p"]), ["--workspace", "--", "-p"]);
        assert_eq!(with_packages(&["-p", "xtask"]), ["-p", "xtask"]);
        assert_eq!(with_packages(&["--package=xtask"]), ["--package=xtask"]);
    }
}
