//! `gameserver load`: puts a server under the load of a crowd and reports how it performed.

mod display;
mod screen;
mod view;

use std::time::Duration;

use chrono::SecondsFormat;
use gameserver_client_sim::load::places::Protocol;
use gameserver_client_sim::load::report::{LoadReport, State};
use gameserver_client_sim::load::{LoadConfig, Standing};
use gameserver_contract::clock::{Clock as _, SystemClock};

use super::{print_unless_stopped, try_reports, write_report};
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
            Protocol::Thin => 0,
            Protocol::Native | Protocol::Mixed => CANARIES.min(arguments.players),
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
    let began_at = SystemClock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    display.open()?;
    let mut progress = |now: &Standing<'_>| display.show(now);
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
        let is_page = path.extension().is_some_and(|end| end == "html");
        let text = if is_page {
            report.page()
        } else {
            serde_json::to_string_pretty(&report)
        };
        write_report(path, text)?;
    }
    judge(&report)
}

fn judge(report: &LoadReport) -> Result<(), CliError> {
    match report.verdict.state {
        State::Passed => Ok(()),
        State::Failed => Err(CliError::Gates),
        State::Void => Err(CliError::Void),
    }
}

/// The command as it was given, under the name that the program has everywhere.
fn own_command() -> Vec<String> {
    let given = std::env::args_os().skip(1);
    let words = given.map(|word| word.to_string_lossy().into_owned());
    std::iter::once("gameserver".to_owned())
        .chain(words)
        .collect()
}
