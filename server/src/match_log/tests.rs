//! The way from a recorder to a file: what is kept, what is given up, and what the log states.

use std::fs;
use std::path::Path;

use gameserver_contract::ids::{GameId, MatchId, SessionId};
use gameserver_shared::state::StateHashes;
use gameserver_stream::log::{
    BlockEncoder, Item, LogEnd, LogHeader, LogReader, LogSummary, Record,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::folder::LogFolder;
use super::recorder::MatchRecorder;
use super::sink::{LogSink, LogWriters, Message};

/// Ticks of a block at the header's rate.
const TICKS_PER_BLOCK: u32 = 15;

fn header(number: u128) -> LogHeader {
    LogHeader {
        match_id: MatchId(Uuid::from_u128(number)),
        session: SessionId(Uuid::from_u128(1)),
        game: GameId::new("arena").unwrap(),
        mode: "ffa".to_owned(),
        build: "test".to_owned(),
        fingerprint: 1,
        rules_hash: 2,
        seed: 3,
        players_min: 1,
        players_max: 2,
        tick_rate_hz: 60,
        snapshot_interval_ticks: 3,
        schema_hash: 4,
        start_frame: Vec::new(),
        started_at_ms: 5,
        components: vec!["Body".to_owned()],
    }
}

fn record(recorder: &mut MatchRecorder, ticks: std::ops::RangeInclusive<u32>) {
    for tick in ticks {
        let hashes = StateHashes { values: vec![tick] };
        recorder.record_tick(tick, &[], &hashes);
        if recorder.key_frame_is_due(tick) {
            recorder.record_key_frame(tick, b"state");
        }
    }
}

/// What a slow thread would have written of the messages that came through.
fn written(messages: impl IntoIterator<Item = Message>) -> Vec<u8> {
    let (mut encoder, magic) = BlockEncoder::begin().unwrap();
    let mut log = magic.to_vec();
    for message in messages {
        if let Message::Append(_, block) = message {
            log.extend(encoder.encode(&block).unwrap());
        }
    }
    log
}

fn gaps(log: &[u8]) -> Vec<(u32, u32)> {
    let reader = LogReader::open(log).unwrap();
    let mut gaps = Vec::new();
    let mut playback = reader.play();
    while let Some(item) = playback.next_item() {
        if let Item::Record(Record::Gap {
            first_tick,
            last_tick,
        }) = item
        {
            gaps.push((first_tick, last_tick));
        }
    }
    gaps
}

#[test]
fn a_full_queue_costs_ticks_and_the_log_says_which() {
    // Room for the beginning, the header and one block.
    let (sink, inbox) = LogSink::with_room(3);
    let mut recorder = MatchRecorder::begin(&header(7), &sink).unwrap();
    record(&mut recorder, 1..=40);
    let mut messages: Vec<_> = inbox.try_iter().collect();
    // There is room again: the log goes on with the next block.
    record(&mut recorder, 41..=TICKS_PER_BLOCK * 5);
    drop(recorder);
    messages.extend(inbox.try_iter());
    let log = written(messages);
    assert_eq!(gaps(&log), [(TICKS_PER_BLOCK + 1, TICKS_PER_BLOCK * 3)]);
    let summary = LogSummary::of(&LogReader::open(&log).unwrap());
    assert_eq!(summary.whole_to_tick, TICKS_PER_BLOCK);
    assert_eq!(summary.ticks, TICKS_PER_BLOCK * 3);
    assert_eq!(summary.last_tick, TICKS_PER_BLOCK * 5);
}

#[test]
fn a_match_that_finds_no_room_at_its_beginning_is_not_recorded() {
    let (sink, _inbox) = LogSink::with_room(0);
    assert!(MatchRecorder::begin(&header(7), &sink).is_err());
}

fn folder(path: &Path, bytes_max: u64) -> LogFolder {
    LogFolder {
        path: path.join("replays"),
        bytes_max,
    }
}

/// Records a short match for each number, and waits until everything is written.
fn record_matches(folder: &LogFolder, numbers: std::ops::Range<u128>) {
    let writers = LogWriters::start(folder.clone()).unwrap();
    for number in numbers {
        let sink = writers.sink().unwrap();
        let mut recorder = MatchRecorder::begin(&header(number), sink).unwrap();
        record(&mut recorder, 1..=100);
        recorder.finish(b"result".to_vec(), &[7; 32]);
    }
}

fn names(folder: &LogFolder) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(&folder.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_finished_match_has_a_complete_log_under_its_own_name() {
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path(), u64::MAX);
    record_matches(&folder, 7..8);
    let log = fs::read(folder.complete_log(header(7).match_id)).unwrap();
    let reader = LogReader::open(&log).unwrap();
    assert_eq!(reader.header(), &header(7));
    let summary = LogSummary::of(&reader);
    assert_eq!((summary.ticks, summary.end), (100, LogEnd::Complete));
    assert_eq!(names(&folder).len(), 1);
}

#[test]
fn a_match_that_broke_leaves_what_it_had() {
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path(), u64::MAX);
    let writers = LogWriters::start(folder.clone()).unwrap();
    let mut recorder = MatchRecorder::begin(&header(7), writers.sink().unwrap()).unwrap();
    record(&mut recorder, 1..=100);
    drop(recorder);
    drop(writers);
    assert_eq!(names(&folder).len(), 1);
    let log = fs::read(folder.broken(header(7).match_id)).unwrap();
    let summary = LogSummary::of(&LogReader::open(&log).unwrap());
    assert_eq!((summary.ticks, summary.end), (100, LogEnd::Open));
}

/// What a process that was killed leaves of a match: so many bytes of its log.
fn killed(folder: &LogFolder, number: u128, length: impl FnOnce(usize) -> usize) {
    record_matches(folder, number..number + 1);
    let id = header(number).match_id;
    let log = fs::read(folder.complete_log(id)).unwrap();
    fs::remove_file(folder.complete_log(id)).unwrap();
    fs::write(folder.unfinished(id), &log[..length(log.len())]).unwrap();
}

#[test]
fn logs_that_a_killed_process_left_are_kept_as_far_as_they_go_or_deleted() {
    let temporary = TempDir::new().unwrap();
    let folder = folder(temporary.path(), u64::MAX);
    killed(&folder, 4, |_| 0);
    killed(&folder, 5, |_| 20);
    killed(&folder, 6, |whole| whole / 2);
    killed(&folder, 7, |whole| whole - 1);
    fs::write(folder.path.join("notes.gslog.part"), "not ours").unwrap();
    drop(LogWriters::start(folder.clone()).unwrap());
    let broken = [6, 7].map(|number| format!("{}.broken.gslog", header(number).match_id));
    let [first, second] = broken;
    assert_eq!(
        names(&folder),
        [first, second, "notes.gslog.part".to_owned()]
    );
    let log = fs::read(folder.broken(header(6).match_id)).unwrap();
    let summary = LogSummary::of(&LogReader::open(&log).unwrap());
    assert!(
        summary.whole_to_tick > 0 && summary.whole_to_tick < 100,
        "{summary:?}"
    );
    assert_eq!(summary.end, LogEnd::Open);
}

#[test]
fn a_recovered_log_is_deleted_when_it_is_the_oldest() {
    let temporary = TempDir::new().unwrap();
    let roomy = folder(temporary.path(), u64::MAX);
    killed(&roomy, 1, |whole| whole - 1);
    let one = fs::metadata(roomy.unfinished(header(1).match_id)).unwrap();
    let tight = folder(temporary.path(), one.len() * 2 + one.len() / 2);
    record_matches(&tight, 2..4);
    let kept = [2, 3].map(|number| format!("{}.gslog", header(number).match_id));
    assert_eq!(names(&tight), kept);
}

#[test]
fn the_oldest_logs_make_room_for_new_ones() {
    let temporary = TempDir::new().unwrap();
    let roomy = folder(temporary.path(), u64::MAX);
    record_matches(&roomy, 1..2);
    let one = fs::metadata(roomy.complete_log(header(1).match_id)).unwrap();
    let tight = folder(temporary.path(), one.len() * 3 + one.len() / 2);
    record_matches(&tight, 2..6);
    let kept = [3, 4, 5].map(|number| format!("{}.gslog", header(number).match_id));
    assert_eq!(names(&tight), kept);
}

#[test]
fn the_newest_log_is_kept_whatever_its_size() {
    let temporary = TempDir::new().unwrap();
    let tight = folder(temporary.path(), 1);
    record_matches(&tight, 1..3);
    assert_eq!(names(&tight), [format!("{}.gslog", header(2).match_id)]);
}
