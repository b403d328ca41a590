//! What a fuzzer feeds: functions that take any bytes and panic where a promise of this crate is
//! broken. Compiled for tests and with the feature `fuzzing` only; `fuzz/README.md` says how they
//! are run.
//!
//! It knows no fuzzer: to it the bytes are frames of a stranger, a script of what happens between
//! a server and its client, or a file.

mod frames;
mod log;
mod script;
mod viewer;

pub use frames::{client_frame, server_frames};
pub use log::{match_log, match_log_flips, match_log_forged};
pub use viewer::viewer_acks;

use crate::frame::put_start;
use crate::reader::{ENTITIES_MAX, SNAPSHOTS_MAX, SnapshotReader, Start};
use crate::schema::{Audience, Field, Kind, Schema};

/// Ticks between two snapshots.
const INTERVAL: u32 = 3;

/// Two kinds; the first has a field for each audience, a circle and every number that there is.
fn schema() -> Schema {
    let fields = vec![
        Field::line("x", 0.0, 100.0, 1.0 / 64.0),
        Field::circle("aim", 255.0, 255),
        Field::integer("any", u32::MAX),
        Field::integer("stamina", 100).shown_to(Audience::Team),
        Field::integer("ammunition", 40).shown_to(Audience::Owner),
    ];
    let kinds = [
        ("fighter", fields),
        ("crate", vec![Field::integer("content", 1)]),
    ];
    let kinds = kinds.into_iter().map(|(name, fields)| Kind {
        name,
        fields,
        priority: 1,
    });
    Schema {
        kinds: kinds.collect(),
    }
}

/// A client that has the start frame and nothing else.
fn new_reader() -> SnapshotReader {
    let mut bytes = Vec::new();
    put_start(&mut bytes, 0, INTERVAL, &schema(), "{}");
    let start = Start::decode(&bytes).expect("the own start frame is read");
    SnapshotReader::new(&start)
}

/// Cuts bytes as carriers do: each frame after its length, two bytes, big-endian. The last one
/// may be shorter than it claims.
fn cut(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (frame, left) = behind.split_at(length.min(behind.len()));
        rest = left;
        Some(frame)
    })
}

/// What holds for a client after any frames of any server.
fn assert_sound(reader: &SnapshotReader) {
    assert!(reader.entities().len() <= ENTITIES_MAX, "too many entities");
    for (id, entity) in reader.entities().iter() {
        let fields = &reader.kinds()[entity.kind].fields;
        let values = entity.values();
        assert_eq!(values.len(), fields.len(), "entity {id} has another kind");
        let in_range = |(value, count)| u64::from(value) < count;
        let counts = fields.iter().map(|field| field.count);
        let mut pairs = values.iter().copied().zip(counts);
        assert!(pairs.all(in_range), "entity {id} has an impossible value");
    }
    assert!(reader.snapshots() <= SNAPSHOTS_MAX, "a long past");
}
