//! The log against itself: what goes in comes out, and no damage is believed.

use std::collections::BTreeSet;

use gameserver_contract::ids::{GameId, MatchId, PlayerId, Seat, SessionId};
use proptest::prelude::*;
use uuid::Uuid;

use super::block::{BlockHeader, FIRST_BLOCK, HAS_FOOTER, HAS_KEY_FRAME, STANDS_ALONE};
use super::*;

/// Ticks of the sample log, in blocks of [`TICKS_PER_BLOCK`], with a key frame after each
/// [`KEY_FRAME_TICKS`].
const TICKS: u32 = 24;
const TICKS_PER_BLOCK: u32 = 4;
const KEY_FRAME_TICKS: u32 = 8;

fn player(number: u8) -> PlayerId {
    PlayerId(Uuid::from_u128(number.into()))
}

fn header() -> LogHeader {
    LogHeader {
        match_id: MatchId(Uuid::from_u128(3)),
        session: SessionId(Uuid::from_u128(2)),
        game: GameId::new("arena").unwrap(),
        mode: "ffa".to_owned(),
        build: "0.1.0".to_owned(),
        fingerprint: 0x1122_3344_5566_7788,
        rules_hash: 0x99aa_bbcc_ddee_ff00,
        seed: 7,
        players_min: 2,
        players_max: 16,
        tick_rate_hz: 60,
        snapshot_interval_ticks: 3,
        schema_hash: 5,
        start_frame: vec![0x95, 3, 0, 3, 0x90, 0xa2, b'{', b'}'],
        started_at_ms: 1_700_000_000_000,
        components: vec!["Body".to_owned(), "Fighter".to_owned()],
    }
}

fn footer() -> Footer {
    Footer {
        result: b"result".to_vec(),
        result_signature: [9; 32],
        sha256: [0; 32],
        log_signature: [0; 32],
        ticks: TICKS,
        ticks_missing: 0,
    }
}

/// What the match does in one tick: a join at first, an input now and then, and frames.
fn record_tick(writer: &mut LogWriter, tick: u32) -> Vec<RawBlock> {
    let joined = SeatChange::Joined {
        seat: Seat(0),
        player: player(1),
        display_name: "ann".to_owned(),
    };
    let left = SeatChange::Left {
        seat: Seat(0),
        player: player(1),
    };
    let changes = match tick {
        1 => &[joined][..],
        TICKS => &[left],
        _ => &[],
    };
    let pressed = [tick.to_be_bytes()[3], 1];
    let inputs: &[(Seat, &[u8])] = if tick.is_multiple_of(3) {
        &[(Seat(0), &pressed)]
    } else {
        &[]
    };
    let mut full = Vec::new();
    full.extend(writer.tick(TickEntry {
        tick,
        changes,
        inputs: inputs.iter().copied(),
        hashes: &[tick * 7, 5],
    }));
    if tick.is_multiple_of(3) {
        let kind = if tick == 3 {
            SnapshotKind::Key
        } else {
            SnapshotKind::Delta
        };
        full.extend(writer.snapshot(tick, kind, &[0x96, 4, 1]).unwrap());
    }
    if tick == 5 {
        full.extend(writer.event(tick, &[0x95, 5]).unwrap());
    }
    if tick.is_multiple_of(KEY_FRAME_TICKS) && !writer.is_losing() {
        full.extend(writer.key_frame(tick, b"everything").unwrap());
    }
    full
}

/// A whole log, and where each of its blocks ends.
fn sample() -> (Vec<u8>, Vec<usize>) {
    let (mut encoder, magic) = BlockEncoder::begin().unwrap();
    let mut log = magic.to_vec();
    let mut ends = vec![log.len()];
    let mut writer = LogWriter::begin(&header(), TICKS_PER_BLOCK);
    let mut blocks: Vec<_> = writer.end_block().into_iter().collect();
    for tick in 1..=TICKS {
        blocks.extend(record_tick(&mut writer, tick));
    }
    blocks.extend(writer.end_block());
    for block in &blocks {
        log.extend(encoder.encode(block).unwrap());
        ends.push(log.len());
    }
    log.extend(encoder.finish(TICKS, footer(), |_| [8; 32]).unwrap());
    ends.push(log.len());
    assert_eq!(encoder.bytes(), log.len() as u64);
    (log, ends)
}

/// What a reader makes of bytes: the ticks that it gives, and what it says was lost.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    records: Vec<String>,
    ticks: Vec<u32>,
    losses: Vec<DamageKind>,
}

fn read(bytes: &[u8]) -> Result<Reading, LogError> {
    let reader = LogReader::open(bytes)?;
    let mut reading = Reading {
        records: Vec::new(),
        ticks: Vec::new(),
        losses: Vec::new(),
    };
    let mut playback = reader.play();
    while let Some(item) = playback.next_item() {
        match item {
            Item::Damaged(kind) => reading.losses.push(kind),
            Item::Record(record) => {
                if let Record::Tick(tick) = &record {
                    reading.ticks.push(tick.tick);
                }
                reading.records.push(format!("{record:?}"));
            }
        }
    }
    Ok(reading)
}

#[test]
fn what_was_recorded_is_read_again() {
    let (log, ends) = sample();
    let reader = LogReader::open(&log).unwrap();
    assert_eq!(reader.header(), &header());
    assert_eq!(reader.blocks().len(), ends.len() - 1);
    assert_eq!(reader.damages(), []);
    let reading = read(&log).unwrap();
    assert_eq!(reading.losses, []);
    assert_eq!(reading.ticks, (1..=TICKS).collect::<Vec<_>>());
    let tick_24 = Record::Tick(TickRecord {
        tick: 24,
        changes: vec![SeatChange::Left {
            seat: Seat(0),
            player: player(1),
        }],
        inputs: vec![(Seat(0), &[24, 1])],
        hashes: &[0, 0, 0, 168, 0, 0, 0, 5],
    });
    assert!(reading.records.contains(&format!("{tick_24:?}")));
}

#[test]
fn the_footer_knows_every_byte_before_it() {
    use sha2::{Digest as _, Sha256};
    let (log, _) = sample();
    let reader = LogReader::open(&log).unwrap();
    let footer = reader.footer().unwrap();
    let last = reader.blocks().last().unwrap();
    assert!(last.header.has(HAS_FOOTER));
    let before: [u8; 32] = Sha256::digest(reader.bytes_before(last)).into();
    assert_eq!(footer.sha256, before);
    assert_eq!(footer.log_signature, [8; 32]);
    assert_eq!(footer.result, b"result");
}

#[test]
fn a_reader_begins_at_any_key_frame() {
    let (log, _) = sample();
    let reader = LogReader::open(&log).unwrap();
    for wanted in 1..=TICKS {
        let block = reader.key_block_before(wanted);
        let mut playback = reader.play_from(block);
        let first = playback.next_item();
        if let Some(Item::Record(Record::KeyFrame { tick, .. })) = first {
            assert_eq!(tick, (wanted - 1) / KEY_FRAME_TICKS * KEY_FRAME_TICKS);
        } else {
            assert!(matches!(first, Some(Item::Record(Record::Header(_)))));
            assert!(wanted <= KEY_FRAME_TICKS, "tick {wanted} has a key frame");
        }
    }
    assert_eq!(reader.key_blocks().count(), 3);
}

#[test]
fn a_torn_log_is_read_up_to_its_last_whole_block() {
    let (log, ends) = sample();
    let whole = read(&log).unwrap();
    for length in 0..log.len() {
        let torn = read(&log[..length]);
        if length < ends[1] {
            assert!(torn.is_err(), "{length} bytes have no header");
            continue;
        }
        let torn = torn.unwrap();
        assert_eq!(torn.records[..], whole.records[..torn.records.len()]);
        let told = if ends.contains(&length) {
            vec![]
        } else {
            vec![DamageKind::Torn]
        };
        assert_eq!(torn.losses, told, "{length} bytes");
        assert!(LogReader::open(&log[..length]).unwrap().footer().is_none());
    }
}

#[test]
fn a_flipped_byte_anywhere_is_noticed_and_costs_no_more_than_to_the_next_key_frame() {
    let (log, ends) = sample();
    let whole = read(&log).unwrap();
    for place in 0..log.len() {
        for flip in [1, 0x80, 0xff] {
            let mut flipped = log.clone();
            flipped[place] ^= flip;
            let Ok(reading) = read(&flipped) else {
                assert!(place < ends[1], "byte {place} is behind the header");
                continue;
            };
            assert!(!reading.losses.is_empty(), "byte {place} was believed");
            let known: BTreeSet<_> = whole.records.iter().collect();
            assert!(reading.records.iter().all(|record| known.contains(record)));
            let lost = whole.ticks.len() - reading.ticks.len();
            assert!(lost <= KEY_FRAME_TICKS as usize, "byte {place}: {lost}");
        }
    }
}

#[test]
fn a_block_that_is_missing_repeated_or_out_of_place_is_noticed() {
    let (log, ends) = sample();
    let block = |number: usize| &log[ends[number]..ends[number + 1]];
    let head = &log[..ends[2]];
    let missing = [head, block(3), block(4)].concat();
    assert_eq!(read(&missing).unwrap().losses, [DamageKind::Sequence]);
    let repeated = [head, block(1), block(2), block(3)].concat();
    let reader = LogReader::open(&repeated).unwrap();
    assert_eq!(reader.damages()[0].kind, DamageKind::Sequence);
}

/// A block as an attacker would make it: the checksum is right, the promises are not.
fn forged(change: impl Fn(&mut BlockHeader), payload: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(payload, 3).unwrap();
    let mut header = BlockHeader {
        packed_bytes: u32::try_from(packed.len()).unwrap(),
        raw_bytes: u32::try_from(payload.len()).unwrap(),
        first_tick: 0,
        last_tick: 0,
        number: 0,
        flags: STANDS_ALONE,
    };
    change(&mut header);
    [&MAGIC[..], &header.write(&packed), &packed].concat()
}

#[test]
fn a_block_that_unpacks_to_more_than_it_promised_is_refused() {
    let bomb = vec![0x90; 64 << 20];
    let log = forged(|header| header.raw_bytes = 100, &bomb);
    let refused = LogError::NoHeader(DamageKind::Compression);
    assert_eq!(read(&log).unwrap_err(), refused);
    let log = forged(|header| header.raw_bytes = 16 << 20, &bomb);
    assert_eq!(read(&log).unwrap_err(), refused);
}

#[test]
fn absurd_lengths_are_refused_without_memory_for_them() {
    let refused = |kind| Err(LogError::NoHeader(kind));
    let log = forged(|header| header.raw_bytes = u32::MAX, &[0x90]);
    assert_eq!(read(&log), refused(DamageKind::Header));
    let log = forged(|header| header.packed_bytes = u32::MAX, &[0x90]);
    assert_eq!(read(&log), refused(DamageKind::Header));
    let log = forged(|header| header.packed_bytes = 1 << 20, &[0x90]);
    assert_eq!(read(&log), refused(DamageKind::Torn));
    // A tick with 2³² − 1 changes, and nothing of them.
    let promise = [0x95, 1, 1, 0xdd, 0xff, 0xff, 0xff, 0xff];
    let log = forged(|_| (), &promise);
    let malformed = DamageKind::Record(RecordError::Malformed);
    assert_eq!(read(&log), refused(malformed));
}

#[test]
fn another_file_or_version_is_told_apart() {
    assert_eq!(read(b"PNG").unwrap_err(), LogError::NotALog);
    assert_eq!(read(b"").unwrap_err(), LogError::NotALog);
    let (mut log, _) = sample();
    log[7] = 2;
    assert_eq!(read(&log).unwrap_err(), LogError::UnknownVersion(2));
}

#[test]
fn ticks_that_were_not_recorded_leave_a_gap_and_a_key_frame_behind_it() {
    let (mut encoder, magic) = BlockEncoder::begin().unwrap();
    let mut log = magic.to_vec();
    let mut writer = LogWriter::begin(&header(), TICKS_PER_BLOCK);
    let first = writer.end_block().unwrap();
    log.extend(encoder.encode(&first).unwrap());
    for tick in 1..=TICKS {
        for block in record_tick(&mut writer, tick) {
            // Nobody takes the block that begins with tick 5.
            if block.first_tick == 5 {
                writer.lose(&block);
            } else {
                log.extend(encoder.encode(&block).unwrap());
            }
        }
        if tick == 12 {
            writer.resume(b"everything").unwrap();
        }
    }
    assert_eq!(writer.ticks_missing(), 8);
    let last = writer.end_block().unwrap();
    log.extend(encoder.encode(&last).unwrap());
    let reading = read(&log).unwrap();
    assert_eq!(reading.losses, []);
    let recorded: Vec<_> = (1..=4).chain(13..=TICKS).collect();
    assert_eq!(reading.ticks, recorded);
    let gap = Record::Gap {
        first_tick: 5,
        last_tick: 12,
    };
    assert!(reading.records.contains(&format!("{gap:?}")));
}

#[test]
fn a_record_that_is_too_large_is_refused() {
    let mut writer = LogWriter::begin(&header(), TICKS_PER_BLOCK);
    let large = vec![0; RECORD_BYTES_MAX + 1];
    assert!(writer.key_frame(1, &large).is_err());
    assert!(writer.event(1, &large).is_err());
    assert!(writer.key_frame(1, &large[1..]).is_ok());
}

/// The bytes in `docs/match-log.md`. After a change that is meant:
/// `UPDATE_VECTORS=1 cargo test -p gameserver-stream`.
#[test]
fn the_vector_of_the_documentation_is_what_this_build_writes() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/match-log.json"
    );
    let vector = vector();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path, &vector).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == vector, "the format of the match log has changed");
}

fn vector() -> String {
    let (log, ends) = sample();
    let reader = LogReader::open(&log).unwrap();
    let mut blocks = Vec::new();
    for (entry, end) in reader.blocks().iter().zip(&ends[1..]) {
        blocks.push(serde_json::json!({
            "offset": entry.offset,
            "length": end - entry.offset,
            "first_tick": entry.header.first_tick,
            "last_tick": entry.header.last_tick,
            "number": entry.header.number,
            "stands_alone": entry.header.has(STANDS_ALONE),
            "key_frame": entry.header.has(HAS_KEY_FRAME),
            "footer": entry.header.has(HAS_FOOTER),
        }));
    }
    let vector = serde_json::json!({
        "about": "A match log of 24 ticks; docs/match-log.md",
        "first_block": FIRST_BLOCK,
        "log": hex(&log),
        "blocks": blocks,
        "records": raw_records(&log),
    });
    serde_json::to_string_pretty(&vector).unwrap() + "\n"
}

/// Each record as it stands in the unpacked block, in hex.
fn raw_records(log: &[u8]) -> Vec<String> {
    let reader = LogReader::open(log).unwrap();
    let mut dictionary: Vec<u8> = Vec::new();
    let mut records = Vec::new();
    for entry in reader.blocks() {
        let (header, packed) = BlockHeader::read(&log[entry.offset..]).unwrap();
        if header.has(STANDS_ALONE) {
            dictionary.clear();
        }
        let mut unpacker = zstd::bulk::Decompressor::with_dictionary(&dictionary).unwrap();
        let payload = unpacker.decompress(packed, BLOCK_BYTES_MAX).unwrap();
        let mut rest = payload.as_slice();
        while !rest.is_empty() {
            let before = rest;
            Record::read(&mut rest).unwrap();
            records.push(hex(&before[..before.len() - rest.len()]));
        }
        dictionary.extend(&payload);
    }
    records
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
        let _ = read(&[&MAGIC[..], &bytes].concat());
        let _ = read(&forged(|_| (), &bytes));
    }

    #[test]
    fn no_splice_of_a_log_makes_the_reader_panic_or_lie(
        from in 0usize..2_000,
        length in 0usize..400,
        filler in prop::collection::vec(any::<u8>(), 0..40)
    ) {
        let (log, _) = sample();
        let from = from.min(log.len());
        let to = (from + length).min(log.len());
        let spliced = [&log[..from], &filler, &log[to..]].concat();
        if let Ok(reading) = read(&spliced) {
            let whole = read(&log).unwrap();
            let known: BTreeSet<_> = whole.records.iter().collect();
            prop_assert!(reading.records.iter().all(|record| known.contains(record)));
        }
    }

    #[test]
    fn no_record_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in 0..8 {
            let record = [&[0x95, kind], &bytes[..]].concat();
            let _ = Record::read(&mut record.as_slice());
        }
    }
}
