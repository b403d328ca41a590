//! What is known of a run before it begins: its title and its scenario.

use gameserver_contract::game::GameDescriptor;

use super::config::LoadConfig;
use crate::machine::Machine;
use crate::report::{LoadReport, Scenario};

/// A report in which nothing has happened yet.
pub(super) fn blank_report(
    config: &LoadConfig,
    game: &GameDescriptor,
    began_at: String,
) -> LoadReport {
    LoadReport {
        version: 1,
        title: title(config, game),
        began_at,
        command: config.command.clone(),
        machine: Machine::here(),
        plan: scenario(config, game),
        ..LoadReport::default()
    }
}

fn title(config: &LoadConfig, game: &GameDescriptor) -> String {
    let matches = match config.matches {
        0 | 1 => "1 match".to_owned(),
        many => format!("{many} matches"),
    };
    let spectators = match config.spectators {
        0 => String::new(),
        many => format!(", watched by {many}"),
    };
    let packets = match config.packet_ticks {
        None => String::new(),
        Some(ticks) => format!(", inputs of {ticks} ticks in a packet"),
    };
    format!(
        "{} {} players over {} in {matches} of {}{spectators}{packets}",
        config.players, config.protocol, config.transport, game.name
    )
}

fn scenario(config: &LoadConfig, game: &GameDescriptor) -> Scenario {
    let first = game.modes.first().map(|mode| mode.id.clone());
    Scenario {
        game: game.id.to_string(),
        mode: config.mode.clone().or(first).unwrap_or_default(),
        protocol: config.protocol.to_string(),
        transport: config.transport.to_string(),
        conditions: config.conditions.to_string(),
        players: config.players,
        canaries: config.canaries,
        packet_ticks: config.packet_ticks,
        spectators: config.spectators,
        matches: config.matches.max(1),
        ramp_s: config.ramp.as_secs_f64(),
        seconds: config.duration.as_secs_f64(),
        churn_per_s: config.churn_per_s,
        seed: config.seed,
        tick_rate_hz: game.tick_rate_hz,
        snapshot_rate_hz: game.snapshot_rate_hz,
    }
}
