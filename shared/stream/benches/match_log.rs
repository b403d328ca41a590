//! What a tick of recording costs: the half on the match's thread, and the half on the other one.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gameserver_contract::ids::{GameId, MatchId, Seat, SessionId};
use gameserver_stream::log::{
    BlockEncoder, EncodeError, LogHeader, LogWriter, RawBlock, TickEntry,
};

/// Players of the measured match.
const PLAYERS: u16 = 64;
/// Ticks of a block at 60 Hz.
const TICKS_PER_BLOCK: u32 = 15;

fn header() -> LogHeader {
    LogHeader {
        match_id: MatchId(uuid::Uuid::from_u128(1)),
        session: SessionId(uuid::Uuid::from_u128(2)),
        game: GameId::new("arena").expect("a name"),
        mode: "ffa".to_owned(),
        build: "bench".to_owned(),
        fingerprint: 1,
        rules_hash: 2,
        seed: 3,
        players_min: 2,
        players_max: PLAYERS,
        tick_rate_hz: 60,
        snapshot_interval_ticks: 3,
        schema_hash: 4,
        start_frame: Vec::new(),
        started_at_ms: 0,
        components: vec!["Body".to_owned(); 8],
    }
}

/// Everybody turns in every tick, which is the most that players can do.
fn inputs(tick: u32) -> Vec<[u8; 7]> {
    let input = |seat: u32| {
        let [a, b, c, d] = tick
            .wrapping_mul(2_654_435_761)
            .wrapping_add(seat)
            .to_be_bytes();
        [0x94, 100, 0xcd, a, b, c & 3, d & 1]
    };
    (0..u32::from(PLAYERS)).map(input).collect()
}

/// `cargo xtask bench --counts` counts what is done in functions whose names begin like this.
#[inline(never)]
fn measured_append(writer: &mut LogWriter, tick: u32, inputs: &[[u8; 7]]) -> Option<RawBlock> {
    append(writer, tick, inputs)
}

#[inline(never)]
fn measured_compress(encoder: &mut BlockEncoder, block: &RawBlock) -> Result<Bytes, EncodeError> {
    encoder.encode(block)
}

fn append(writer: &mut LogWriter, tick: u32, inputs: &[[u8; 7]]) -> Option<RawBlock> {
    let seats = (0..PLAYERS).map(Seat);
    let rows: Vec<_> = seats.zip(inputs.iter().map(<[u8; 7]>::as_slice)).collect();
    writer.tick(TickEntry {
        tick,
        changes: &[],
        inputs: rows.into_iter(),
        hashes: &[tick, tick ^ 1, 7, 7, 7, 7, 7, 7],
    })
}

fn block() -> RawBlock {
    let mut writer = LogWriter::begin(&header(), TICKS_PER_BLOCK);
    for tick in 1..=TICKS_PER_BLOCK {
        append(&mut writer, tick, &inputs(tick));
    }
    writer.end_block().expect("it has ticks")
}

fn measure(criterion: &mut Criterion) {
    let mut writer = LogWriter::begin(&header(), TICKS_PER_BLOCK);
    let (mut tick, moved) = (0, inputs(1));
    criterion.bench_function("match log append", |bench| {
        bench.iter(|| {
            tick += 1;
            measured_append(&mut writer, tick, &moved)
        });
    });
    let block = block();
    criterion.bench_function("match log compress", |bench| {
        let encoder = || BlockEncoder::begin().expect("memory").0;
        bench.iter_batched_ref(
            encoder,
            |encoder| measured_compress(encoder, &block),
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, measure);
criterion_main!(benches);
