//! `gameserver load`: puts a server under the load of a crowd and reports how it performed.

mod display;
mod screen;
mod view;

use std::time::Duration;

use gameserver_client_sim::load::{ClientProtocol, LoadConfig, Progress};
use gameserver_client_sim::report::{LoadReport, RunOutcome};

use super::{now_rfc3339, own_command, print_unless_stopped, try_reports, write_report};
use crate::arguments::LoadArguments;
use crate::error::CliError;
use crate::games::{GameWithBots, Games};
use crate::shutdown::Shutdown;
use display::Display;

/// Default number of whole clients among native players: two of them check each other.
const CANARIES: u32 = 2;

/// Plays, then reports.
pub(super) async fn run(arguments: LoadArguments, games: &Games) -> Result<(), CliError> {
    try_reports(&arguments.report)?;
    let display = if arguments.plain {
        Display::plain()?
    } else {
        Display::suited()?
    };
    let game = games.for_crowd(arguments.game.as_deref())?;
    play(game, arguments, display).await
}

async fn play(
    game: &GameWithBots,
    arguments: LoadArguments,
    mut display: Display,
) -> Result<(), CliError> {
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    let protocol = arguments.protocol.into();
    let config = LoadConfig {
        api: arguments.api,
        metrics: (!arguments.no_metrics).then_some(arguments.metrics),
        mode: arguments.mode,
        players: arguments.players,
        protocol,
        canaries: arguments.canaries.unwrap_or(match protocol {
            ClientProtocol::Thin => 0,
            ClientProtocol::Native | ClientProtocol::Mixed => CANARIES.min(arguments.players),
        }),
        packet_ticks: arguments.packet_ticks,
        spectators: arguments.spectators,
        matches: arguments.matches,
        transport: arguments.transport.into(),
        conditions: arguments.conditions,
        ramp: Duration::from_secs(arguments.ramp),
        duration: Duration::from_secs(arguments.seconds),
        churn_per_s: arguments.churn,
        settle: Duration::from_secs(arguments.settle),
        command: own_command(),
        seed: arguments.seed,
        threads: arguments.threads.into(),
        gates: arguments.gate,
    };
    let began_at = now_rfc3339();
    display.open()?;
    let mut progress = |now: &Progress<'_>| display.show(now);
    let played = tokio::select! {
        played = (game.load)(&config, &shutdown.drain, began_at, &mut progress) => {
            played.map_err(CliError::Load)
        }
        () = shutdown.hurry.cancelled() => Err(CliError::Interrupted),
    };
    display.close();
    let report = played?;
    print_unless_stopped(&report.summary(), &shutdown);
    for path in &arguments.report {
        write_report(path, &report)?;
    }
    judge(&report)
}

fn judge(report: &LoadReport) -> Result<(), CliError> {
    match report.verdict.state {
        RunOutcome::Passed => Ok(()),
        RunOutcome::Failed => Err(CliError::Gates),
        RunOutcome::Void => Err(CliError::Void),
    }
}
