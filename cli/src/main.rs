//! The one binary: `gameserver dev | api | instance | bots | load | migrate | config | replay |
//! healthcheck`.
//!
//! It composes the libraries and is the only place that names the sample games.

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

/// A thousand connections allocate and free all the time, on several threads: measured, this one
/// costs a third of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _flush = FlushAtExit;
    output::report_panics();
    // Two TLS providers are linked through dependencies; ours is chosen before anything asks.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        complain("another TLS provider was chosen before this one");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(gameserver_server::priority::yield_to_ticks)
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(commands::run(arguments));
            // A read of a disk that hangs does not hold the end up.
            runtime.shutdown_timeout(EXIT_PATIENCE);
            outcome
        }
        Err(source) => Err(error::CliError::Runtime(source)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&error::explain(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// A command tells people why it failed.
fn complain(text: &str) {
    STDERR.offer(format!("gameserver: {text}\n").as_bytes());
}
