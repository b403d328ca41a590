//! The commands of the program.

mod api;
mod bots;
mod dev;
mod healthcheck;
mod instance;
mod load;
mod migrate;
mod replay;
mod warnings;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use chrono::SecondsFormat;
use gameserver_client_sim::LoadReport;
use gameserver_contract::clock::{Clock as _, SystemClock};
use gameserver_contract::entropy::SystemEntropy;

use crate::arguments::{Arguments, Command, ConfigCommand};
use crate::error::CliError;
use crate::games::Games;
use crate::logging;
use crate::output::STDOUT;
use crate::ports::Ports;
use crate::settings::{Loaded, Secrets};
use crate::shutdown::Shutdown;

/// Runs the command to its end.
pub(crate) async fn run(arguments: Arguments, games: &Games) -> Result<(), CliError> {
    let loaded = Loaded::read(arguments.config.as_deref())?;
    match arguments.command()? {
        Command::Dev(arguments) => {
            let _logging = logging::start(loaded.settings.log.format)?;
            Box::pin(dev::run(loaded.settings, arguments, games)).await
        }
        Command::Api => {
            let _logging = logging::start(loaded.settings.log.format)?;
            api::run(loaded.settings).await
        }
        Command::Instance(arguments) => {
            let _logging = logging::start(loaded.settings.log.format)?;
            instance::run(loaded.settings, arguments, games).await
        }
        Command::Bots(arguments) => bots::run(arguments, games).await,
        Command::Load(arguments) => load::run(arguments, games).await,
        Command::Migrate { direction } => migrate::run(&loaded.settings, direction).await,
        Command::Config { action } => config(&loaded, action),
        Command::Replay { action } => replay::run(action, games).await,
        Command::Healthcheck(arguments) => healthcheck::run(&loaded.settings, arguments).await,
    }
}

fn config(loaded: &Loaded, action: ConfigCommand) -> Result<(), CliError> {
    match action {
        ConfigCommand::Print => print(&loaded.print()?),
        ConfigCommand::Check => {
            // The checks of each process at its start.
            let (settings, entropy) = (&loaded.settings, SystemEntropy);
            let secrets = Secrets::all(settings, &entropy)?;
            Ports::of_api(settings)?;
            api::config(settings, &secrets)?;
            Ports::of_instance(settings)?;
            let registry_url = settings.instance.registry_url.clone();
            instance::config(settings, secrets.control, registry_url)?;
            print("the settings can be used");
        }
    }
    Ok(())
}

/// Fails now, and not after an hour, when a report could not be written.
fn try_reports(paths: &[PathBuf]) -> Result<(), CliError> {
    for path in paths {
        let is_new = !path.exists();
        let tried = OpenOptions::new().append(true).create(true).open(path);
        let tried = tried.and_then(|file| {
            drop(file);
            // Nothing stays of a run that never ends.
            if is_new {
                std::fs::remove_file(path)
            } else {
                Ok(())
            }
        });
        tried.map_err(|source| CliError::Report {
            path: path.display().to_string(),
            source,
        })?;
    }
    Ok(())
}

/// Writes what bots found.
fn write_report(path: &Path, report: &LoadReport) -> Result<(), CliError> {
    let written = report
        .render(path)
        .map_err(std::io::Error::other)
        .and_then(|text| std::fs::write(path, text));
    written.map_err(|source| CliError::Report {
        path: path.display().to_string(),
        source,
    })
}

/// The command as it was given, under the name that the program has everywhere.
fn own_command() -> Vec<String> {
    let given = std::env::args_os().skip(1);
    let words = given.map(|word| word.to_string_lossy().into_owned());
    std::iter::once("gameserver".to_owned())
        .chain(words)
        .collect()
}

/// The time, as reports state it.
fn now_rfc3339() -> String {
    SystemClock.now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Speaks to the person at the terminal while something runs, which does not wait for that.
pub(crate) fn say(text: &str) {
    STDOUT.offer(format!("{text}\n").as_bytes());
}

/// Prints a command's result and waits until it is read. Call it before [`Shutdown::listen`] only,
/// so that a signal ends the wait with the process.
pub(crate) fn print(text: &str) {
    STDOUT.deliver(format!("{text}\n").as_bytes(), || false);
}

/// The same, until a signal ends the wait.
pub(crate) fn print_unless_stopped(text: &str, shutdown: &Shutdown) {
    let stage = shutdown.next_stage();
    STDOUT.deliver(format!("{text}\n").as_bytes(), || stage.is_cancelled());
}
