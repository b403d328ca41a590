//! `gameserver replay`: reads and verifies the logs of matches. It needs no server.

mod export;
mod info;
mod serve;
mod verify;

use std::path::Path;

use gameserver_stream::log::LogReader;

use crate::arguments::ReplayCommand;
use crate::error::CliError;
use crate::games::Games;
use crate::logging;

/// Largest log that is read: it is held in memory.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Runs the subcommand.
pub(super) async fn run(command: ReplayCommand, games: &Games) -> Result<(), CliError> {
    let _logging = logging::start_beside_results()?;
    match command {
        ReplayCommand::Info { file, json: false } => info::print_table(&file),
        ReplayCommand::Info { file, json: true } => info::print_json(&file),
        ReplayCommand::Verify { files } => verify::run(&files, games),
        ReplayCommand::Export { file, json } => export::run(&file, &json),
        ReplayCommand::Serve { file, port } => serve::run(&file, port).await,
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let unreadable = |source| CliError::ReplayFile {
        path: file.display().to_string(),
        source,
    };
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        let path = file.display();
        return Err(CliError::Usage(format!("{path} is larger than 4 GiB")));
    }
    std::fs::read(file).map_err(unreadable)
}

fn open<'a>(file: &Path, bytes: &'a [u8]) -> Result<LogReader<'a>, CliError> {
    LogReader::open(bytes).map_err(|source| CliError::ReplayLog {
        path: file.display().to_string(),
        source,
    })
}
