//! Logs of matches that were really played, and what can be done to them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use gameserver_client_sim::bot::BotSpec;
use gameserver_client_sim::bot_pool::BotPool;
use gameserver_contract::ids::{MatchId, Seat};
use gameserver_server::match_log::LogFolder;
use gameserver_shared::bot::BotPolicy;
use gameserver_stream::log::{
    BlockEncoder, Item, LogReader, LogWriter, RawBlock, Record, TickEntry, TickRecord,
};
use gameserver_transport::connect::ConnectOptions;
use tokio::runtime::Handle;

use crate::patience::eventually;
use crate::stage::Stage;

/// Ticks of a quarter of a second, as the recorder does it.
const TICKS_PER_BLOCK: u32 = 15;

/// Bots take the first seats of each match and play for so many ticks.
///
/// # Panics
///
/// When there is no thread for them.
pub async fn play<G: BotPolicy>(stage: &Stage, matches: &[MatchId], bots_each: u16, ticks: u64) {
    let seats = matches
        .iter()
        .flat_map(|id| (0..bots_each).map(move |seat| (*id, seat)));
    let bots: Vec<_> = seats
        .zip(1..)
        .map(|((id, seat), seed)| BotSpec {
            name: format!("bot {seed}"),
            join: stage.join(id, seat),
            options: ConnectOptions::default(),
            seed,
            retries_max: 0,
        })
        .collect();
    let pool = BotPool::start::<G>(bots, 1, &Handle::current()).expect("a thread for the bots");
    for share in 1..=4 {
        eventually("the bots play", || {
            let seen = pool.stats();
            seen.iter().all(|bot| bot.ticks >= ticks * share / 4)
        })
        .await;
    }
    tokio::task::spawn_blocking(move || pool.finish())
        .await
        .expect("the bots end");
}

/// Ends a match and waits for its log.
///
/// # Panics
///
/// When the instance is overloaded, or the log is not there in time.
pub async fn end_and_read(stage: &Stage, folder: &Path, id: MatchId) -> Vec<u8> {
    stage.host.stop_match(id).expect("room for a command");
    let log = path_of(folder, id);
    eventually("the log is complete", || log.exists()).await;
    std::fs::read(log).expect("the log can be read")
}

/// Where the log of a finished match is.
#[must_use]
pub fn path_of(folder: &Path, id: MatchId) -> PathBuf {
    let folder = LogFolder {
        path: folder.to_owned(),
        bytes_max: u64::MAX,
    };
    folder.complete_log(id)
}

/// Another input for this tick and seat, or none to leave it as it is.
pub type Forger<'f> = dyn FnMut(u32, Seat, &[u8]) -> Option<Vec<u8>> + 'f;

/// Writes a log anew, with some inputs changed by the caller.
///
/// # Panics
///
/// When the log is damaged.
#[must_use]
pub fn rewrite(log: &[u8], forge: &mut Forger<'_>) -> Vec<u8> {
    let reader = LogReader::open(log).expect("a log");
    let (mut compressor, magic) = BlockEncoder::begin().expect("memory for a compressor");
    let mut out = magic.to_vec();
    let mut writer = LogWriter::begin(reader.header(), TICKS_PER_BLOCK);
    let mut encode = |block: Option<RawBlock>| -> Bytes {
        let written = block.map(|block| compressor.encode(&block).expect("a small block"));
        written.unwrap_or_default()
    };
    out.extend(encode(writer.end_block()));
    let mut playback = reader.play();
    while let Some(item) = playback.next_item() {
        let Item::Record(record) = item else {
            unreachable!("the log is whole")
        };
        let full = match record {
            Record::Tick(tick) => record_tick(&mut writer, &tick, forge),
            Record::Snapshot { tick, kind, frame } => {
                writer.snapshot(tick, kind, frame).expect("it fitted")
            }
            Record::Event { tick, frame } => writer.event(tick, frame).expect("it fitted"),
            Record::KeyFrame { tick, state } => writer.key_frame(tick, state).expect("it fitted"),
            Record::Header(_) | Record::Gap { .. } | Record::Footer(_) => None,
        };
        out.extend(encode(full));
    }
    out.extend(encode(writer.end_block()));
    out
}

fn record_tick(
    writer: &mut LogWriter,
    tick: &TickRecord<'_>,
    forge: &mut Forger<'_>,
) -> Option<RawBlock> {
    let forged: Vec<_> = tick
        .inputs
        .iter()
        .map(|(seat, input)| {
            let forged = forge(tick.tick, *seat, input);
            (*seat, forged.unwrap_or_else(|| input.to_vec()))
        })
        .collect();
    let hashes: Vec<_> = tick
        .hashes
        .chunks_exact(4)
        .map(|hash| u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
        .collect();
    writer.tick(TickEntry {
        tick: tick.tick,
        changes: &tick.changes,
        inputs: forged.iter().map(|(seat, input)| (*seat, input.as_slice())),
        hashes: &hashes,
    })
}
