//! `gameserver bots`: plays with full clients and prints their figures.

use std::time::Duration;

use gameserver_client_sim::LoadReport;
use gameserver_client_sim::bots::{BotsConfig, Target};
use gameserver_contract::game::GameDescriptor;
use gameserver_contract::session::CreateSession;

use super::{now_rfc3339, own_command, print_unless_stopped, say, try_reports, write_report};
use crate::arguments::BotsArguments;
use crate::error::CliError;
use crate::games::{GameWithBots, Games};
use crate::logging;
use crate::settings::LogFormat;
use crate::shutdown::Shutdown;

/// Plays, then reports.
pub(super) async fn run(arguments: BotsArguments, games: &Games) -> Result<(), CliError> {
    try_reports(arguments.report.as_slice())?;
    let _logging = logging::start(LogFormat::Text)?;
    play(games.for_bots(arguments.game.as_deref())?, arguments).await
}

async fn play(game: &GameWithBots, arguments: BotsArguments) -> Result<(), CliError> {
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    check_session_size(&arguments, &game.descriptor)?;
    let target = match arguments.session {
        Some(id) => Target::Session(id),
        None => Target::OwnSession(CreateSession {
            game: game.descriptor.id.as_str().to_owned(),
            mode: arguments.mode,
            name: Some("Bots".to_owned()),
            players_max: Some(arguments.players.max(2)),
            ..CreateSession::default()
        }),
    };
    let config = BotsConfig {
        api: arguments.api,
        players: arguments.players,
        duration: Duration::from_secs(arguments.seconds),
        target,
        transport: arguments.transport.map(Into::into),
        conditions: arguments.conditions,
        seed: arguments.seed,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let began_at = now_rfc3339();
    let mut last_shown = 0.0;
    let mut progress = |report: &LoadReport| {
        if report.figures.seconds - last_shown >= 2.0 {
            last_shown = report.figures.seconds;
            say(&report.progress_line());
        }
    };
    let mut report = (game.play)(&config, &shutdown.drain, &mut progress).await?;
    print_unless_stopped(&report.table(), &shutdown);
    if let Some(path) = arguments.report {
        report.command = own_command();
        report.began_at = began_at;
        write_report(&path, &report)?;
    }
    Ok(())
}

/// Checks before any request that all bots fit into one session.
fn check_session_size(arguments: &BotsArguments, game: &GameDescriptor) -> Result<(), CliError> {
    let (players, id) = (arguments.players, game.id.as_str());
    match game.mode(arguments.mode.as_deref()) {
        Some(mode) if players > mode.players_max && arguments.session.is_none() => {
            Err(CliError::Usage(format!(
                "--players {players} is more than a session of {id} takes: {}; start `bots` \
                 several times, or use `load`, which spreads players over --matches",
                mode.players_max
            )))
        }
        // The server may have a mode that this program has not.
        Some(_) | None => Ok(()),
    }
}
