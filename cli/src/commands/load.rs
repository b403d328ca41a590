//! `gameserver load`: a crowd of players, and a report of how the server bore it.

use std::path::Path;
use std::time::Duration;

use chrono::SecondsFormat;
use gameserver_client_sim::load::places::Protocol;
use gameserver_client_sim::load::report::{LoadReport, State};
use gameserver_client_sim::load::{self, LoadConfig};
use gameserver_contract::clock::{Clock as _, SystemClock};
use gameserver_shared::bot::ThinBots;

use super::say;
use crate::arguments::LoadArguments;
use crate::error::CliError;
use crate::games::{self, with_game};
use crate::logging;
use crate::settings::LogFormat;
use crate::shutdown::Shutdown;

/// Whole clients among native players when nobody says how many: they check each other.
const CANARIES: u32 = 2;

/// Plays, then reports.
pub(super) async fn run(arguments: LoadArguments) -> Result<(), CliError> {
    logging::start(LogFormat::Text)?;
    let game = arguments.game.clone();
    let played = with_game!(game.as_str(), play(arguments));
    let played = played.ok_or_else(|| games::without_bots(&game))?;
    played.await
}

async fn play<G: ThinBots>(arguments: LoadArguments) -> Result<(), CliError> {
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    let protocol = arguments.protocol.into();
    let config = LoadConfig {
        api: arguments.api,
        metrics: Some(arguments.metrics),
        mode: arguments.mode,
        players: arguments.players,
        protocol,
        canaries: arguments.canaries.unwrap_or(match protocol {
            Protocol::Thin => 0,
            Protocol::Native | Protocol::Mixed => CANARIES.min(arguments.players),
        }),
        spectators: arguments.spectators,
        matches: arguments.matches,
        transport: arguments.transport.into(),
        ramp: Duration::from_secs(arguments.ramp),
        duration: Duration::from_secs(arguments.seconds),
        seed: arguments.seed,
        threads: arguments.threads,
        gates: arguments.gate,
    };
    let began_at = SystemClock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let report = load::run::<G>(&config, &shutdown.drain, began_at, |second| {
        say(&second.line());
    })
    .await?;
    say(&report.summary());
    for path in &arguments.report {
        write(&report, path)?;
    }
    match report.verdict.state {
        State::Passed => Ok(()),
        State::Failed => Err(CliError::Gates),
        State::Void => Err(CliError::Void),
    }
}

fn write(report: &LoadReport, path: &Path) -> Result<(), CliError> {
    let is_page = path.extension().is_some_and(|end| end == "html");
    let text = if is_page {
        report.page()
    } else {
        serde_json::to_string_pretty(report)
    };
    let written = text
        .map_err(std::io::Error::other)
        .and_then(|text| std::fs::write(path, text));
    written.map_err(|source| CliError::Report {
        path: path.display().to_string(),
        source,
    })
}
