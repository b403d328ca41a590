//! `gameserver bots`: plays with full clients and prints what they saw.

use std::time::Duration;

use gameserver_client_sim::bots::{self, BotsConfig, Target};
use gameserver_contract::game::GameDescriptor;
use gameserver_contract::session::CreateSession;
use gameserver_shared::bot::BotPolicy;

use super::{now_rfc3339, own_command, print_unless_stopped, say, try_reports, write_report};
use crate::arguments::BotsArguments;
use crate::error::CliError;
use crate::games::with_game;
use crate::logging;
use crate::settings::LogFormat;
use crate::shutdown::Shutdown;

/// Plays, then reports.
pub(super) async fn run(arguments: BotsArguments) -> Result<(), CliError> {
    try_reports(arguments.report.as_slice())?;
    let _logging = logging::start(LogFormat::Text)?;
    let game = arguments.game.clone();
    with_game!(game.as_str(), play(arguments))?.await
}

async fn play<G: BotPolicy>(arguments: BotsArguments) -> Result<(), CliError> {
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    fit_one_session(&arguments, &G::descriptor())?;
    let target = match arguments.session {
        Some(id) => Target::Session(id),
        None => Target::OwnSession(CreateSession {
            game: arguments.game,
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
    let mut report = bots::run::<G>(&config, &shutdown.drain, |report| {
        if report.figures.seconds - last_shown >= 2.0 {
            last_shown = report.figures.seconds;
            say(&report.progress_line());
        }
    })
    .await?;
    print_unless_stopped(&report.table(), &shutdown);
    if let Some(path) = arguments.report {
        report.command = own_command();
        report.began_at = began_at;
        write_report(&path, &report)?;
    }
    Ok(())
}

/// Bots play in one session, and its size is known before anybody is asked.
fn fit_one_session(arguments: &BotsArguments, game: &GameDescriptor) -> Result<(), CliError> {
    let mode = match &arguments.mode {
        Some(id) => game.modes.iter().find(|mode| mode.id == *id),
        None => game.modes.first(),
    };
    let (players, game) = (arguments.players, &arguments.game);
    match mode {
        Some(mode) if players > mode.players_max && arguments.session.is_none() => {
            Err(CliError::Usage(format!(
                "--players {players} is more than a session of {game} takes: {}; start `bots` \
                 several times, or use `load`, which spreads players over --matches",
                mode.players_max
            )))
        }
        // What is unknown here the server may know.
        Some(_) | None => Ok(()),
    }
}
