//! `replay info`: the contents of a log.

use std::path::Path;

use chrono::{DateTime, Utc};
use gameserver_contract::result::MatchResult;
use gameserver_stream::log::{LogEnd, LogReader, LogSummary};
use serde_json::{Value, json};

use crate::commands::print;
use crate::error::CliError;

/// For people.
pub(super) fn print_table(file: &Path) -> Result<(), CliError> {
    let bytes = super::read(file)?;
    let reader = super::open(file, &bytes)?;
    print(&table(&reader));
    Ok(())
}

/// For programs.
pub(super) fn print_json(file: &Path) -> Result<(), CliError> {
    let bytes = super::read(file)?;
    let reader = super::open(file, &bytes)?;
    print(&document(&reader).to_string());
    Ok(())
}

fn table(reader: &LogReader<'_>) -> String {
    let (header, summary) = (reader.header(), LogSummary::of(reader));
    let seconds = f64::from(summary.last_tick) / f64::from(header.tick_rate_hz);
    let mut rows = vec![
        ("match", header.match_id.to_string()),
        ("game", format!("{}, {}", header.game, header.mode)),
        ("build", header.build.clone()),
        ("hosted", time(header.started_at_ms)),
        ("seed", header.seed.to_string()),
        (
            "ticks",
            format!(
                "{} at {} Hz: {seconds:.1} s",
                summary.ticks, header.tick_rate_hz
            ),
        ),
        ("whole up to tick", summary.whole_to_tick.to_string()),
        ("end", end(reader, &summary)),
        ("key frames", summary.key_frames.to_string()),
        ("snapshots", summary.snapshots.to_string()),
        ("events", summary.events.to_string()),
        ("inputs", summary.inputs.to_string()),
        ("blocks", summary.blocks.to_string()),
        (
            "bytes",
            format!("{} for {} unpacked", summary.bytes, summary.raw_bytes),
        ),
    ];
    if let Some(bytes) = summary.bytes_per_player_hour(header.tick_rate_hz) {
        rows.push(("bytes a player's hour", bytes.to_string()));
    }
    for (player, (seat, name)) in &summary.players {
        rows.push(("player", format!("seat {seat}: {name} ({player})")));
    }
    for damage in reader.damages() {
        rows.push(("damaged", damage.to_string()));
    }
    let line = |(name, value): &(&str, String)| format!("{name:<22} {}", printable(value));
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Names come from players: nothing of theirs moves the terminal's cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn end(reader: &LogReader<'_>, summary: &LogSummary) -> String {
    match (result(reader), summary.end) {
        (Some(result), _) => format!("{}, {}", result.outcome.as_str(), time(result.ended_at_ms)),
        (None, LogEnd::Complete) => "complete, with a result of another build".to_owned(),
        (None, LogEnd::Open) => "none: the match did not end, or the file is cut off".to_owned(),
    }
}

pub(super) fn result(reader: &LogReader<'_>) -> Option<MatchResult> {
    let footer = reader.footer()?;
    rmp_serde::from_slice(&footer.result).ok()
}

fn time(at_ms: i64) -> String {
    let time: Option<DateTime<Utc>> = DateTime::from_timestamp_millis(at_ms);
    time.map_or_else(|| at_ms.to_string(), |time| time.to_rfc3339())
}

fn document(reader: &LogReader<'_>) -> Value {
    let (header, summary) = (reader.header(), LogSummary::of(reader));
    let players = summary
        .players
        .iter()
        .map(|(player, (seat, name))| json!({ "player": player, "seat": seat, "name": name }));
    let damages = reader.damages().iter().map(|damage| {
        json!({
            "offset": damage.offset,
            "length": damage.length,
            "what": damage.kind.to_string(),
        })
    });
    json!({
        "match": header.match_id,
        "session": header.session,
        "game": header.game,
        "mode": header.mode,
        "build": header.build,
        "fingerprint": header.fingerprint,
        "rules_hash": header.rules_hash,
        "seed": header.seed,
        "tick_rate_hz": header.tick_rate_hz,
        "started_at_ms": header.started_at_ms,
        "components": header.components,
        "ticks": summary.ticks,
        "last_tick": summary.last_tick,
        "whole_to_tick": summary.whole_to_tick,
        "losses": summary.losses,
        "complete": summary.end == LogEnd::Complete,
        "key_frames": summary.key_frames,
        "key_frame_bytes": summary.key_frame_bytes,
        "snapshots": summary.snapshots,
        "snapshot_bytes": summary.snapshot_bytes,
        "events": summary.events,
        "inputs": summary.inputs,
        "input_bytes": summary.input_bytes,
        "blocks": summary.blocks,
        "bytes": summary.bytes,
        "raw_bytes": summary.raw_bytes,
        "bytes_per_player_hour": summary.bytes_per_player_hour(header.tick_rate_hz),
        "players": players.collect::<Vec<_>>(),
        "damages": damages.collect::<Vec<_>>(),
        "result": result(reader),
    })
}
