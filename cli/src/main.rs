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
mod settings;
mod shutdown;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;

/// How far the network's threads give way, on the scale of `nice`.
const NETWORK_NICENESS: i32 = 10;

/// A thousand connections allocate and free all the time, on several threads: measured, this one
/// costs a third of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Two TLS providers are linked through dependencies; ours is chosen before anything asks.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprint("another TLS provider was chosen before this one");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(yield_to_ticks)
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(arguments)),
        Err(source) => Err(error::CliError::Runtime(source)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint(&failure.explain());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The network's threads give way to those that step matches and bots: a tick has a deadline, a
/// datagram can wait a millisecond. Measured on one core with 1,000 players: `docs/performance.md`.
fn yield_to_ticks() {
    // Where the system has no such thing, or does not allow it, nothing changes.
    let own = Some(rustix::thread::gettid());
    let _ = rustix::process::setpriority_process(own, NETWORK_NICENESS);
}

#[expect(clippy::print_stderr, reason = "a command tells people why it failed")]
fn eprint(text: &str) {
    eprintln!("gameserver: {text}");
}
