//! Match logs: any file, files with right checksums and made-up records, and damaged ones.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use gameserver_contract::ids::{GameId, MatchId, PlayerId, Seat, SessionId};
use uuid::Uuid;

use super::cut;
use super::script::Script;
use crate::log::{
    BlockEncoder, BlockHeader, DAMAGES_MAX, EncodeError, Footer, Item, LogHeader, LogReader,
    LogSummary, LogWriter, MAGIC, RawBlock, Record, SeatChange, SnapshotKind, TickEntry,
};

/// Blocks of one made-up log.
const BLOCKS_MAX: usize = 32;
/// Places that are damaged in one log.
const FLIPS_MAX: usize = 16;
/// Key frames that are begun from.
const STARTS_MAX: usize = 8;
/// Ticks of the log that is damaged.
const TICKS: u32 = 12;
/// A block ends, and a key frame is recorded, after so many of them.
const TICKS_PER_BLOCK: u32 = 2;
const KEY_FRAME_TICKS: u32 = 4;

/// A file: opened, played back from several places, and counted.
///
/// # Panics
///
/// When the blocks and the damages do not cover the file, or when it never ends.
pub fn match_log(bytes: &[u8]) {
    read(bytes, |_| ());
}

/// A log whose blocks are all whole, and whose records are any bytes: each piece is the flags of a
/// block, its first and last tick and its payload, after its length as two bytes. The first block
/// is a good one unless the first byte is odd.
///
/// # Panics
///
/// As [`match_log`], or when a whole block is told as damaged.
pub fn match_log_forged(bytes: &[u8]) {
    let Some((choice, pieces)) = bytes.split_first() else {
        return;
    };
    // Pieces are short, so each becomes a block.
    let log = forge(*choice, pieces).expect("short blocks are encoded");
    if let Ok(reader) = LogReader::open(&log) {
        assert_eq!(reader.damages(), [], "a whole block was not believed");
    }
    read(&log, |_| ());
}

fn forge(choice: u8, pieces: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let (mut encoder, magic) = BlockEncoder::begin()?;
    let mut log = magic.to_vec();
    if choice & 1 == 0 {
        let block = LogWriter::begin(&header(), TICKS_PER_BLOCK).end_block();
        log.extend(
            block
                .map(|block| encoder.encode(&block))
                .transpose()?
                .unwrap_or_default(),
        );
    }
    for piece in cut(pieces).take(BLOCKS_MAX) {
        let mut script = Script::new(piece);
        let (control, first_tick) = (script.byte(), script.byte());
        let block = encoder.encode(&RawBlock {
            first_tick: u32::from(first_tick),
            last_tick: u32::from(first_tick) + u32::from(script.byte()),
            flags: control & 7,
            payload: piece.get(3..).unwrap_or_default().to_vec(),
        })?;
        // Now and then a block is missing.
        if control & 8 == 0 {
            log.extend(block);
        }
    }
    Ok(log)
}

/// A good log in which a script flips, cuts out and adds bytes.
///
/// # Panics
///
/// As [`match_log`], or when something is read that was never written, or damage goes unnoticed.
pub fn match_log_flips(bytes: &[u8]) {
    let (log, written) = good_log();
    let mut damaged = log.clone();
    damage(&mut damaged, &mut Script::new(bytes));
    let mut told = 0;
    let losses = read(&damaged, |record| {
        told += 1;
        assert!(written.contains(&format!("{record:?}")), "{record:?}");
    });
    let Some(losses) = losses else { return };
    if damaged == *log {
        assert_eq!((losses, told), (0, written.len()));
    } else if damaged.len() == log.len() {
        assert!(losses > 0, "the damage was believed");
    }
}

fn damage(log: &mut Vec<u8>, script: &mut Script<'_>) {
    for _ in 0..FLIPS_MAX {
        let Some(how) = script.next() else { return };
        let Some(at) = usize::from(script.short()).checked_rem(log.len()) else {
            return;
        };
        let value = script.byte();
        match how % 8 {
            0..5 => log[at] ^= value,
            5 => log.truncate(at),
            6 => {
                let end = (at + usize::from(value)).min(log.len());
                log.drain(at..end);
            }
            _ => log.insert(at, value),
        }
    }
}

/// Reads a log in every way there is and says how much was lost; none when it cannot be opened.
fn read(bytes: &[u8], mut on_record: impl FnMut(&Record<'_>)) -> Option<usize> {
    let reader = LogReader::open(bytes).ok()?;
    assert_covered(&reader);
    let mut losses = 0;
    let mut items = 0_u64;
    let raw_bytes = |header: &BlockHeader| u64::from(header.raw_bytes);
    let blocks = reader.blocks().iter();
    // A record has two bytes at least, and before and behind each block something may be lost.
    let items_max: u64 = 1 + blocks
        .map(|block| 2 + raw_bytes(&block.header))
        .sum::<u64>();
    let mut playback = reader.play();
    while let Some(item) = playback.next_item() {
        items += 1;
        assert!(items <= items_max, "it goes on for ever");
        match item {
            Item::Record(record) => on_record(&record),
            Item::Damaged(_) => losses += 1,
        }
    }
    for start in reader.key_blocks().take(STARTS_MAX) {
        let first_tick = reader.blocks()[start].header.first_tick;
        assert!(reader.key_block_before(first_tick) >= start);
        assert!(reader.play_from(start).next_item().is_some() || is_empty(&reader, start));
    }
    let _ = reader.footer();
    let summary = LogSummary::of(&reader);
    assert_eq!(summary.blocks, reader.blocks().len() as u64);
    let _ = summary.bytes_per_player_hour(reader.header().tick_rate_hz);
    Some(losses)
}

fn is_empty(reader: &LogReader<'_>, start: usize) -> bool {
    let mut blocks = reader.blocks()[start..].iter();
    blocks.all(|block| block.header.raw_bytes == 0)
}

/// Every byte behind the first ones belongs to a block or to a damage.
fn assert_covered(reader: &LogReader<'_>) {
    let blocks = reader.blocks().iter();
    let blocks = blocks.map(|block| (block.offset, block.header.block_bytes()));
    let damages = reader.damages().iter();
    let damages = damages.map(|damage| (damage.offset, damage.length));
    assert!(reader.damages().len() <= DAMAGES_MAX);
    let mut parts: Vec<_> = blocks.chain(damages).collect();
    parts.sort_unstable();
    let end = parts.iter().fold(MAGIC.len(), |end, (offset, length)| {
        assert_eq!(end, *offset, "bytes are read twice or never");
        end + length
    });
    assert_eq!(end, reader.bytes().len());
}

/// A log of every kind of record but a gap, and what is read of it.
fn good_log() -> &'static (Vec<u8>, BTreeSet<String>) {
    static LOG: OnceLock<(Vec<u8>, BTreeSet<String>)> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = write().expect("a short log is written");
        let mut records = BTreeSet::new();
        let losses = read(&log, |record| {
            records.insert(format!("{record:?}"));
        });
        assert_eq!(losses, Some(0), "the own log is whole");
        (log, records)
    })
}

fn write() -> Result<Vec<u8>, EncodeError> {
    let (mut encoder, magic) = BlockEncoder::begin()?;
    let mut log = magic.to_vec();
    let mut writer = LogWriter::begin(&header(), TICKS_PER_BLOCK);
    let mut blocks: Vec<_> = writer.end_block().into_iter().collect();
    for tick in 1..=TICKS {
        record_tick(&mut writer, tick, &mut blocks)?;
    }
    blocks.extend(writer.end_block());
    for block in &blocks {
        log.extend(encoder.encode(block)?);
    }
    let footer = Footer {
        result: b"result".to_vec(),
        result_signature: [9; 32],
        sha256: [0; 32],
        log_signature: [0; 32],
        ticks: TICKS,
        ticks_missing: 0,
    };
    log.extend(encoder.finish(TICKS, footer, |_| [8; 32])?);
    Ok(log)
}

fn record_tick(
    writer: &mut LogWriter,
    tick: u32,
    blocks: &mut Vec<RawBlock>,
) -> Result<(), EncodeError> {
    let joined = SeatChange::Joined {
        seat: Seat(0),
        player: PlayerId(Uuid::from_u128(1)),
        display_name: "ann".to_owned(),
    };
    let changes = match tick {
        1 => &[joined][..],
        _ => &[],
    };
    let input = tick.to_be_bytes();
    blocks.extend(writer.tick(TickEntry {
        tick,
        changes,
        inputs: [(Seat(0), input.as_slice())].into_iter(),
        hashes: &[tick * 7],
    }));
    let frame = [0x96, 4, 1, input[3]];
    blocks.extend(writer.snapshot(tick, SnapshotKind::Delta, &frame)?);
    if tick.is_multiple_of(KEY_FRAME_TICKS) {
        blocks.extend(writer.event(tick, &[0x95, 5])?);
        blocks.extend(writer.key_frame(tick, b"everything")?);
    }
    Ok(())
}

fn header() -> LogHeader {
    LogHeader {
        match_id: MatchId(Uuid::from_u128(3)),
        session: SessionId(Uuid::from_u128(2)),
        game: GameId::new("arena").expect("it is a name"),
        mode: "ffa".to_owned(),
        build: "0.1.0".to_owned(),
        fingerprint: 1,
        rules_hash: 2,
        seed: 7,
        players_min: 2,
        players_max: 16,
        tick_rate_hz: 60,
        snapshot_interval_ticks: 3,
        schema_hash: 5,
        start_frame: vec![0x95, 3, 0, 3, 0x90, 0xa2, b'{', b'}'],
        started_at_ms: 1_700_000_000_000,
        components: vec!["Body".to_owned()],
    }
}
