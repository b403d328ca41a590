//! The project's commands: `cargo xtask test` is the one that must pass.
//!
//! Every command prints what it runs and how long it took. It needs Cargo and, for the tests,
//! PostgreSQL and Redis, which it starts itself on free ports and removes afterwards, and Python,
//! Node.js and Chromium for the clients in other languages. As root on Debian it installs them.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks on the terminal"
)]

mod bench;
mod checks;
mod clients;
mod failure;
mod fuzz;
mod interrupt;
mod measure;
mod packages;
mod platform;
mod servers;
mod step;

use std::process::ExitCode;
use std::{env, io};

use failure::Failure;
use step::Runner;

const USAGE: &str = "\
cargo xtask test                  everything: format, lints, documentation, all tests and clients
cargo xtask test -- NAME          only tests whose name contains NAME; no checks
cargo xtask test -p CRATE         only tests of one crate; arguments go to `cargo test`
cargo xtask check                 format, lints, the repository's own rules
cargo xtask fuzz [SECONDS]        every fuzz target for 60 or so many seconds; installs cargo-fuzz
cargo xtask bench [NAME]          benches named like this against budgets; stores the figures
    --quick                       a short run
    --counts                      instructions instead of time; needs valgrind
    --compare                     against the stored figures; fails when something became slower
cargo xtask measure               sizes of files and functions against their limits
cargo xtask servers               PostgreSQL and Redis for tests, until Ctrl-C";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let root = xtask::tree::repository_root()
        .map_err(|error| Failure::new("find the repository", error, "cargo xtask test"))?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => checks::test_everything(&Runner::new(&root)?),
        ["test", passed_on @ ..] => checks::test_selected(&Runner::new(&root)?, passed_on),
        ["check"] => checks::check(&Runner::new(&root)?),
        ["bench", options @ ..] => {
            let plan = bench::Plan::read(options)?;
            bench::bench(&Runner::new(&root)?, &plan)
        }
        ["fuzz"] => fuzz::fuzz(&Runner::new(&root)?, None),
        ["fuzz", seconds] => fuzz::fuzz(&Runner::new(&root)?, Some(*seconds)),
        ["measure"] => measure::measure(&root),
        ["servers"] => servers::run_until_interrupted(&Runner::new(&root)?),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            let unknown = format!("there is no such command\n{USAGE}");
            let error = io::Error::new(io::ErrorKind::InvalidInput, unknown);
            Err(Failure::new(
                "read the arguments",
                error,
                "cargo xtask help",
            ))
        }
    }
}
