//! `replay export`: a log as text, for other programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use gameserver_stream::log::record::HASH_BYTES;
use gameserver_stream::log::{Item, LogHeader, LogReader, Record, SeatChange, SnapshotKind};
use serde_json::{Value, json};

use crate::error::CliError;

/// Writes one object a line.
pub(super) fn run(file: &Path, to: &Path) -> Result<(), CliError> {
    let bytes = super::read(file)?;
    let reader = super::open(file, &bytes)?;
    let written = if to == Path::new("-") {
        ignore_broken_pipe(write(&reader, BufWriter::new(io::stdout().lock())))
    } else {
        File::create(to).and_then(|to| write(&reader, BufWriter::new(to)))
    };
    written.map_err(|source| CliError::Report {
        path: to.display().to_string(),
        source,
    })
}

/// A reader that has seen enough closes the pipe, which is no failure.
fn ignore_broken_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn write(reader: &LogReader<'_>, mut to: impl Write) -> io::Result<()> {
    let mut playback = reader.play();
    while let Some(item) = playback.next_item() {
        let line = match item {
            Item::Record(record) => object(&record, reader.header()),
            Item::Damaged(kind) => json!({ "lost": kind.to_string() }),
        };
        writeln!(to, "{line}")?;
    }
    to.flush()
}

fn object(record: &Record<'_>, header: &LogHeader) -> Value {
    match record {
        Record::Header(header) => json!({
            "header": {
                "match": header.match_id,
                "session": header.session,
                "game": header.game,
                "mode": header.mode,
                "build": header.build,
                "fingerprint": header.fingerprint,
                "rules_hash": header.rules_hash,
                "seed": header.seed,
                "players_min": header.players_min,
                "players_max": header.players_max,
                "tick_rate_hz": header.tick_rate_hz,
                "snapshot_interval_ticks": header.snapshot_interval_ticks,
                "schema_hash": header.schema_hash,
                "start": unpacked(&header.start_frame),
                "started_at_ms": header.started_at_ms,
                "components": header.components,
            }
        }),
        Record::Tick(tick) => {
            let names = header.components.iter();
            let hashes = tick.hashes.chunks_exact(HASH_BYTES).map(hex);
            let inputs = tick.inputs.iter();
            json!({
                "tick": tick.tick,
                "changes": tick.changes.iter().map(change).collect::<Vec<_>>(),
                "inputs": inputs
                    .map(|(seat, input)| json!([seat, unpacked(input)]))
                    .collect::<Vec<_>>(),
                "hashes": names.cloned().zip(hashes).collect::<serde_json::Map<_, _>>(),
            })
        }
        Record::Snapshot { tick, kind, frame } => json!({
            "snapshot": tick,
            "key": *kind == SnapshotKind::Key,
            "frame": unpacked(frame),
        }),
        Record::Event { tick, frame } => json!({ "event": tick, "frame": unpacked(frame) }),
        Record::KeyFrame { tick, state } => json!({ "key_frame": tick, "state": hex(state) }),
        Record::Gap {
            first_tick,
            last_tick,
        } => json!({ "gap": [first_tick, last_tick] }),
        Record::Footer(footer) => json!({
            "footer": {
                "result": unpacked(&footer.result),
                "result_signature": hex(&footer.result_signature),
                "sha256": hex(&footer.sha256),
                "log_signature": hex(&footer.log_signature),
                "ticks": footer.ticks,
                "ticks_missing": footer.ticks_missing,
            }
        }),
    }
}

fn change(change: &SeatChange) -> Value {
    match change {
        SeatChange::Joined {
            seat,
            player,
            display_name,
        } => json!({ "joined": seat, "player": player, "name": display_name }),
        SeatChange::Left { seat, player } => json!({ "left": seat, "player": player }),
    }
}

/// The value that MessagePack encodes, or the bytes when they cannot be decoded.
fn unpacked(bytes: &[u8]) -> Value {
    rmp_serde::from_slice::<Value>(bytes).unwrap_or_else(|_| hex(bytes))
}

fn hex(bytes: &[u8]) -> Value {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
    let text: String = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect();
    Value::String(text)
}
