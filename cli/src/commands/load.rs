//! `gameserver load`: a crowd of players, and a report of how the server bore it.

use std::time::Duration;

use chrono::SecondsFormat;
use gameserver_client_sim::load::report::State;
use gameserver_client_sim::load::{self, LoadConfig, Part, Standing};
use gameserver_contract::clock::{Clock as _, SystemClock};
use gameserver_shared::bot::ThinBots;

use super::{say, write_report};
use crate::arguments::LoadArguments;
use crate::error::CliError;
use crate::games::with_game;
use crate::logging;
use crate::settings::LogFormat;
use crate::shutdown::Shutdown;

/// Plays, then reports.
pub(super) async fn run(arguments: LoadArguments) -> Result<(), CliError> {
    logging::start(LogFormat::Text)?;
    let game = arguments.game.clone();
    with_game!(game.as_str(), play(arguments))?.await
}

async fn play<G: ThinBots>(arguments: LoadArguments) -> Result<(), CliError> {
    let shutdown = Shutdown::listen().map_err(CliError::Runtime)?;
    let config = LoadConfig {
        api: arguments.api,
        metrics: Some(arguments.metrics),
        mode: arguments.mode,
        players: arguments.players,
        spectators: arguments.spectators,
        matches: arguments.matches,
        transport: arguments.transport.into(),
        ramp: Duration::from_secs(arguments.ramp),
        duration: Duration::from_secs(arguments.seconds),
        churn_per_s: arguments.churn,
        settle: Duration::from_secs(arguments.settle),
        command: own_command(),
        seed: arguments.seed,
        threads: arguments.threads,
        gates: arguments.gate,
    };
    let began_at = SystemClock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let report = load::run::<G>(&config, &shutdown.drain, began_at, show).await?;
    say(&report.summary());
    for path in &arguments.report {
        let is_page = path.extension().is_some_and(|end| end == "html");
        let text = if is_page {
            report.page()
        } else {
            serde_json::to_string_pretty(&report)
        };
        write_report(path, text)?;
    }
    match report.verdict.state {
        State::Passed => Ok(()),
        State::Failed => Err(CliError::Gates),
        State::Void => Err(CliError::Void),
    }
}

fn show(now: &Standing<'_>) {
    match now.part {
        Part::Ramp | Part::Counts => {
            if let Some(second) = now.report.series.last() {
                say(&second.line());
            }
        }
        Part::Leaves => say("the bots say goodbye; press Ctrl-C again to hurry"),
        Part::Settles => {
            let left = now.report.left_behind().unwrap_or_default();
            let at = now.elapsed.as_secs_f64();
            say(&format!(
                "{at:5.0} s  everybody gone, against before: {left}"
            ));
        }
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
