//! The whole program as a library: every command, setting and metric of a game server, for any
//! games. It names none of them; the program that uses it does, in its `main`:
//!
//! ```ignore
//! fn main() -> std::process::ExitCode {
//!     gameserver::run(gameserver::Games::new().add::<MyGame>())
//! }
//! ```

mod arguments;
mod commands;
mod error;
mod games;
mod logging;
mod metrics_server;
mod output;
mod ports;
mod settings;
mod shutdown;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;
use crate::output::{EXIT_PATIENCE, FlushAtExit, STDERR};

pub use games::Games;

/// A thousand connections allocate and free all the time, on several threads: this allocator was
/// measured at a third of the cost of the system's. The library sets it and not `main`, so that
/// every program has it; a program with another one leaves out the feature.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the command of the command line with these games. `main` returns the result.
#[must_use]
pub fn run(games: Games) -> ExitCode {
    let arguments = Arguments::parse();
    let _flush = FlushAtExit;
    output::report_panics();
    // Two TLS providers are linked through dependencies; ours is chosen before anything asks.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        print_error("another TLS provider was chosen before this one");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(gameserver_server::priority::yield_to_ticks)
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(commands::run(arguments, &games));
            // A read of a disk that hangs does not hold the end up.
            runtime.shutdown_timeout(EXIT_PATIENCE);
            outcome
        }
        Err(source) => Err(error::CliError::Runtime(source)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print_error(&error::explain(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints why a command failed.
fn print_error(text: &str) {
    STDERR.offer(format!("gameserver: {text}\n").as_bytes());
}
