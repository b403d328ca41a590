//! What stands in a log, one record at a time: MessagePack arrays, the kind first.

use gameserver_contract::ids::{GameId, MatchId, PlayerId, Seat, SessionId};
use uuid::Uuid;

use super::COMPONENTS_MAX;
use super::error::RecordError;
use super::wire::{In, Out};

const HEADER: u8 = 0;
const TICK: u8 = 1;
const SNAPSHOT: u8 = 2;
const EVENT: u8 = 3;
const KEY_FRAME: u8 = 4;
const GAP: u8 = 5;
const FOOTER: u8 = 6;

/// Bytes of one hash of a kind of state.
pub const HASH_BYTES: usize = 4;

/// One record, as it stands in an unpacked block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// What match this is; the first record of a log.
    Header(Box<LogHeader>),
    /// One tick of the simulation.
    Tick(TickRecord<'a>),
    /// What spectators were sent.
    Snapshot {
        /// The tick that it shows.
        tick: u32,
        /// Whether it can be read alone.
        kind: SnapshotKind,
        /// A `snapshot` frame of thin mode.
        frame: &'a [u8],
    },
    /// What spectators were told.
    Event {
        /// The tick in which it happened.
        tick: u32,
        /// An `event` frame of thin mode.
        frame: &'a [u8],
    },
    /// The whole state of the simulation.
    KeyFrame {
        /// The tick at whose end it was taken.
        tick: u32,
        /// What the simulation saved.
        state: &'a [u8],
    },
    /// Ticks that were not recorded, because the disk was too slow for the match.
    Gap {
        /// The first that is missing.
        first_tick: u32,
        /// The last that is missing.
        last_tick: u32,
    },
    /// How it ended; the last record of a log that is complete.
    Footer(Footer),
}

/// What match a log is of, and what is needed to simulate and to show it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHeader {
    /// The match.
    pub match_id: MatchId,
    /// Its session.
    pub session: SessionId,
    /// Its game.
    pub game: GameId,
    /// The game's mode.
    pub mode: String,
    /// Version of the program that hosted it.
    pub build: String,
    /// What the game's clients send and understand, as one number.
    pub fingerprint: u64,
    /// The game's numbers (speeds, damage, maps), as one number.
    pub rules_hash: u64,
    /// Where the match's randomness came from.
    pub seed: u64,
    /// Players that had to be seated before play started.
    pub players_min: u16,
    /// Seats in all.
    pub players_max: u16,
    /// Ticks a second.
    pub tick_rate_hz: u16,
    /// Ticks between two snapshots.
    pub snapshot_interval_ticks: u16,
    /// What snapshots are made of, as one number.
    pub schema_hash: u64,
    /// The `start` frame of thin mode that its snapshots are read with.
    pub start_frame: Vec<u8>,
    /// When the match was hosted, milliseconds since 1970.
    pub started_at_ms: i64,
    /// Names of the kinds of state, in the order of their hashes in a tick.
    pub components: Vec<String>,
}

/// One tick: what came into it and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickRecord<'a> {
    /// The tick.
    pub tick: u32,
    /// Who came and went before it, in this order.
    pub changes: Vec<SeatChange>,
    /// The inputs that differ from the tick before, by seat.
    pub inputs: Vec<(Seat, &'a [u8])>,
    /// The hash of each kind of state, [`HASH_BYTES`] big-endian bytes each.
    pub hashes: &'a [u8],
}

/// A player took a seat or gave it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatChange {
    /// Took it.
    Joined {
        /// The seat.
        seat: Seat,
        /// The account.
        player: PlayerId,
        /// Name that others see.
        display_name: String,
    },
    /// Gave it up.
    Left {
        /// The seat.
        seat: Seat,
        /// The account.
        player: PlayerId,
    },
}

/// Whether a snapshot can be read alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotKind {
    /// As differences to the one before.
    Delta,
    /// Alone.
    Key,
}

/// How a match ended, and what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// The result, encoded as it was reported.
    pub result: Vec<u8>,
    /// HMAC-SHA-256 of the result with the match's own key.
    pub result_signature: [u8; 32],
    /// SHA-256 of every byte before the footer's block.
    pub sha256: [u8; 32],
    /// HMAC-SHA-256 of [`log_claim`] with the match's own key: nobody else can have written this
    /// log.
    pub log_signature: [u8; 32],
    /// Ticks recorded.
    pub ticks: u32,
    /// Ticks missing.
    pub ticks_missing: u32,
}

/// The bytes that a log's signature is made of. They begin with words that no result begins with.
#[must_use]
pub fn log_claim(sha256: &[u8; 32]) -> Vec<u8> {
    [b"gameserver match log v1\0", sha256.as_slice()].concat()
}

pub(super) fn write_header(out: &mut Vec<u8>, header: &LogHeader) {
    let mut out = Out(out);
    out.array(17)
        .uint(HEADER)
        .bin(header.match_id.0.as_bytes())
        .bin(header.session.0.as_bytes())
        .str(header.game.as_str())
        .str(&header.mode)
        .str(&header.build)
        .uint(header.fingerprint)
        .uint(header.rules_hash)
        .uint(header.seed)
        .uint(header.players_min)
        .uint(header.players_max)
        .uint(header.tick_rate_hz)
        .uint(header.snapshot_interval_ticks)
        .uint(header.schema_hash)
        .bin(&header.start_frame)
        .int(header.started_at_ms)
        .array(header.components.len());
    for name in &header.components {
        out.str(name);
    }
}

pub(super) fn write_tick<'i>(
    out: &mut Vec<u8>,
    tick: u32,
    changes: &[SeatChange],
    inputs: impl ExactSizeIterator<Item = (Seat, &'i [u8])>,
    hashes: &[u32],
) {
    let mut out = Out(out);
    out.array(5).uint(TICK).uint(tick).array(changes.len());
    for change in changes {
        write_change(&mut out, change);
    }
    out.array(inputs.len() * 2);
    for (seat, input) in inputs {
        out.uint(seat.0).bin(input);
    }
    let bytes = out.bin_of(hashes.len() * HASH_BYTES);
    for hash in hashes {
        bytes.extend_from_slice(&hash.to_be_bytes());
    }
}

fn write_change(out: &mut Out<'_>, change: &SeatChange) {
    match change {
        SeatChange::Joined {
            seat,
            player,
            display_name,
        } => out
            .array(3)
            .uint(seat.0)
            .bin(player.0.as_bytes())
            .str(display_name),
        SeatChange::Left { seat, player } => out.array(2).uint(seat.0).bin(player.0.as_bytes()),
    };
}

pub(super) fn write_snapshot(out: &mut Vec<u8>, tick: u32, kind: SnapshotKind, frame: &[u8]) {
    let kind: u8 = match kind {
        SnapshotKind::Delta => 0,
        SnapshotKind::Key => 1,
    };
    Out(out)
        .array(4)
        .uint(SNAPSHOT)
        .uint(tick)
        .uint(kind)
        .bin(frame);
}

pub(super) fn write_event(out: &mut Vec<u8>, tick: u32, frame: &[u8]) {
    Out(out).array(3).uint(EVENT).uint(tick).bin(frame);
}

pub(super) fn write_key_frame(out: &mut Vec<u8>, tick: u32, state: &[u8]) {
    Out(out).array(3).uint(KEY_FRAME).uint(tick).bin(state);
}

pub(super) fn write_gap(out: &mut Vec<u8>, first_tick: u32, last_tick: u32) {
    Out(out).array(3).uint(GAP).uint(first_tick).uint(last_tick);
}

pub(super) fn write_footer(out: &mut Vec<u8>, footer: &Footer) {
    Out(out)
        .array(7)
        .uint(FOOTER)
        .bin(&footer.result)
        .bin(&footer.result_signature)
        .bin(&footer.sha256)
        .bin(&footer.log_signature)
        .uint(footer.ticks)
        .uint(footer.ticks_missing);
}

impl<'a> Record<'a> {
    /// Reads the next record and moves `rest` behind it.
    ///
    /// # Errors
    ///
    /// What is wrong with it; `rest` is anywhere then.
    pub fn read(rest: &mut &'a [u8]) -> Result<Self, RecordError> {
        let mut input = In(rest);
        let record = read(&mut input)?;
        *rest = input.0;
        Ok(record)
    }
}

fn read<'a>(input: &mut In<'a>) -> Result<Record<'a>, RecordError> {
    let length = input.array()?;
    let kind = input.uint()?;
    let expect = |expected: usize| {
        (length == expected)
            .then_some(())
            .ok_or(RecordError::Malformed)
    };
    match u8::try_from(kind) {
        Ok(HEADER) => expect(17).and_then(|()| read_header(input)),
        Ok(TICK) => expect(5).and_then(|()| read_tick(input)),
        Ok(SNAPSHOT) => expect(4).and_then(|()| read_snapshot(input)),
        Ok(EVENT) => {
            expect(3)?;
            Ok(Record::Event {
                tick: input.number("tick")?,
                frame: input.bin()?,
            })
        }
        Ok(KEY_FRAME) => {
            expect(3)?;
            Ok(Record::KeyFrame {
                tick: input.number("tick")?,
                state: input.bin()?,
            })
        }
        Ok(GAP) => {
            expect(3)?;
            Ok(Record::Gap {
                first_tick: input.number("tick")?,
                last_tick: input.number("tick")?,
            })
        }
        Ok(FOOTER) => expect(7).and_then(|()| read_footer(input)),
        Ok(_) | Err(_) => Err(RecordError::UnknownKind(kind)),
    }
}

fn read_header<'a>(input: &mut In<'_>) -> Result<Record<'a>, RecordError> {
    let header = LogHeader {
        match_id: MatchId(read_uuid(input)?),
        session: SessionId(read_uuid(input)?),
        game: GameId::new(input.str()?).map_err(|_| RecordError::OutOfRange("game"))?,
        mode: input.str()?.to_owned(),
        build: input.str()?.to_owned(),
        fingerprint: input.uint()?,
        rules_hash: input.uint()?,
        seed: input.uint()?,
        players_min: input.number("players_min")?,
        players_max: input.number("players_max")?,
        tick_rate_hz: input.number("tick_rate_hz")?,
        snapshot_interval_ticks: input.number("snapshot_interval_ticks")?,
        schema_hash: input.uint()?,
        start_frame: input.bin()?.to_owned(),
        started_at_ms: input.int()?,
        components: read_names(input)?,
    };
    if header.tick_rate_hz == 0 {
        return Err(RecordError::OutOfRange("tick_rate_hz"));
    }
    Ok(Record::Header(Box::new(header)))
}

fn read_names(input: &mut In<'_>) -> Result<Vec<String>, RecordError> {
    let count = input.array()?;
    if count > COMPONENTS_MAX {
        return Err(RecordError::OutOfRange("components"));
    }
    (0..count).map(|_| Ok(input.str()?.to_owned())).collect()
}

fn read_uuid(input: &mut In<'_>) -> Result<Uuid, RecordError> {
    input.bin_of().map(Uuid::from_bytes)
}

fn read_tick<'a>(input: &mut In<'a>) -> Result<Record<'a>, RecordError> {
    let tick = input.number("tick")?;
    // Grown as the elements are read: a promised length allocates nothing.
    let mut changes = Vec::new();
    for _ in 0..input.array()? {
        changes.push(read_change(input)?);
    }
    let length = input.array()?;
    if length % 2 != 0 {
        return Err(RecordError::Malformed);
    }
    let mut inputs = Vec::new();
    for _ in 0..length / 2 {
        inputs.push((Seat(input.number("seat")?), input.bin()?));
    }
    let hashes = input.bin()?;
    if hashes.len() % HASH_BYTES != 0 {
        return Err(RecordError::OutOfRange("hashes"));
    }
    Ok(Record::Tick(TickRecord {
        tick,
        changes,
        inputs,
        hashes,
    }))
}

fn read_change(input: &mut In<'_>) -> Result<SeatChange, RecordError> {
    let length = input.array()?;
    let seat = Seat(input.number("seat")?);
    let player = PlayerId(read_uuid(input)?);
    match length {
        3 => Ok(SeatChange::Joined {
            seat,
            player,
            display_name: input.str()?.to_owned(),
        }),
        2 => Ok(SeatChange::Left { seat, player }),
        _ => Err(RecordError::Malformed),
    }
}

fn read_snapshot<'a>(input: &mut In<'a>) -> Result<Record<'a>, RecordError> {
    Ok(Record::Snapshot {
        tick: input.number("tick")?,
        kind: match input.uint()? {
            0 => SnapshotKind::Delta,
            1 => SnapshotKind::Key,
            _ => return Err(RecordError::OutOfRange("kind")),
        },
        frame: input.bin()?,
    })
}

fn read_footer<'a>(input: &mut In<'_>) -> Result<Record<'a>, RecordError> {
    Ok(Record::Footer(Footer {
        result: input.bin()?.to_owned(),
        result_signature: input.bin_of()?,
        sha256: input.bin_of()?,
        log_signature: input.bin_of()?,
        ticks: input.number("ticks")?,
        ticks_missing: input.number("ticks_missing")?,
    }))
}
