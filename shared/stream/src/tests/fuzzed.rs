//! The functions of [`crate::fuzzing`] as ordinary tests: over the fuzzer's seeds, over seeds with
//! a few changes, and over any bytes. `UPDATE_VECTORS=1 cargo test -p gameserver-stream` makes the
//! seeds anew, from the vectors and from scripts of chance.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::fuzzing;
use crate::log::MAGIC;

/// A name, and bytes to begin with.
type Seed = (String, Vec<u8>);

const TARGETS: [(&str, fn(&[u8])); 6] = [
    ("client_frame", fuzzing::client_frame),
    ("server_frames", fuzzing::server_frames),
    ("viewer_acks", fuzzing::viewer_acks),
    ("match_log", fuzzing::match_log),
    ("match_log_forged", fuzzing::match_log_forged),
    ("match_log_flips", fuzzing::match_log_flips),
];
const SEED_BYTES_MAX: usize = 4_096;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn vector(name: &str) -> Value {
    let text = fs::read_to_string(root().join("tests/vectors").join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap()
}

fn seeds(target: &str) -> Vec<Seed> {
    match target {
        "client_frame" => client_frames(),
        "server_frames" => server_frames(),
        "viewer_acks" => scripts(12, 400),
        "match_log" => logs(),
        "match_log_forged" => forged_logs(),
        _ => scripts(4, 16),
    }
}

fn client_frames() -> Vec<Seed> {
    let thin = vector("thin.json");
    let frames = list(&thin, "frames").iter();
    let from_clients = frames.filter(|frame| frame["from"] == "client");
    let seed = |frame: &Value| {
        (
            frame["name"].as_str().unwrap().to_owned(),
            hex(&frame["hex"]),
        )
    };
    from_clients.map(seed).collect()
}

/// After the length of each, as carriers do.
fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        let length = u16::try_from(frame.len()).unwrap();
        out.extend(length.to_be_bytes());
        out.extend(frame);
    }
    out
}

fn server_frames() -> Vec<Seed> {
    let thin = vector("thin.json");
    let mut seeds = Vec::new();
    for key in ["run", "spectator_run"] {
        let steps = list(&thin, key).iter();
        let delivered = steps.filter(|step| step["delivered"] == true);
        let mut frames = vec![hex(&thin["start"])];
        frames.extend(delivered.map(|step| hex(&step["hex"])));
        seeds.push((key.to_owned(), joined(&frames)));
    }
    let all = list(&thin, "frames").iter();
    let frames: Vec<_> = all.map(|frame| hex(&frame["hex"])).collect();
    seeds.push(("frames".to_owned(), joined(&frames)));
    for invalid in list(&thin, "invalid") {
        let name = invalid["name"].as_str().unwrap().replace(' ', "-");
        let frames = [hex(&thin["start"]), hex(&invalid["hex"])];
        seeds.push((name, joined(&frames)));
    }
    seeds.push(("own-schema".to_owned(), joined(&own_schema())));
    seeds
}

/// A whole entity and differences to it, for the client that has our own start frame.
fn own_schema() -> [Vec<u8>; 3] {
    [
        b"\x96\x04\x01\x03\xc0\xc0\x92\x00\x99\x01\x00\x1f\x01\x02\x03\x04\x05".to_vec(),
        b"\x96\x04\x02\x06\x02\x90\x92\x03\x94\x01\x03\x01\x02".to_vec(),
        b"\x96\x04\x03\x09\x02\x91\x01\x92\x00\x94\x02\x01\x01\x01".to_vec(),
    ]
}

/// Decisions of chance, the same on every computer: xorshift64.
fn scripts(count: u8, length: usize) -> Vec<Seed> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_be_bytes()[0]
    };
    let mut script = |number: u8| {
        let mut bytes = vec![number];
        bytes.extend((1..length).map(|_| byte()));
        (format!("{number:02}"), bytes)
    };
    (0..count).map(&mut script).collect()
}

fn logs() -> Vec<Seed> {
    let log = hex(&vector("match-log.json")["log"]);
    let cut = |length: usize| log[..length].to_vec();
    vec![
        ("header".to_owned(), cut(148)),
        ("cut".to_owned(), cut(600)),
        ("magic".to_owned(), MAGIC.to_vec()),
        ("whole".to_owned(), log),
    ]
}

/// Every record of the vector in a block of its own; the last piece has all of them.
fn forged_logs() -> Vec<Seed> {
    let log = vector("match-log.json");
    let records: Vec<_> = list(&log, "records").iter().map(hex).collect();
    let block = |record: &Vec<u8>| [&[1, 1, 0], record.as_slice()].concat();
    let one_each: Vec<_> = records.iter().map(block).collect();
    let together = [vec![3, 1, 3], records[1..].concat()].concat();
    let key_frames = [
        [&[3, 1, 1][..], &records[1]].concat(),
        [&[8, 2, 1][..], &records[2]].concat(),
        [&[0, 2, 1][..], &records[3]].concat(),
        vec![2, 4, 0],
    ];
    let seed = |name: &str, choice: u8, blocks: &[Vec<u8>]| {
        (name.to_owned(), [vec![choice], joined(blocks)].concat())
    };
    vec![
        seed("one-each", 1, &one_each),
        seed("together", 0, &[together]),
        seed("missing", 0, &key_frames),
    ]
}

#[test]
fn the_seeds_of_the_fuzzer_are_what_the_vectors_hold() {
    for (target, _) in TARGETS {
        let folder = root().join("fuzz/corpus").join(target);
        for (name, bytes) in seeds(target) {
            assert!(bytes.len() <= SEED_BYTES_MAX, "{target}/{name} is long");
            let path = folder.join(format!("seed-{name}"));
            if std::env::var_os("UPDATE_VECTORS").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            let kept = fs::read(&path).unwrap_or_default();
            assert!(kept == bytes, "{} is out of date", path.display());
        }
    }
}

#[test]
fn every_seed_passes() {
    for (target, body) in TARGETS {
        for (_, bytes) in seeds(target) {
            body(&bytes);
        }
    }
}

/// A seed with a few bytes changed, cut out and put in; or any bytes.
fn bytes_like(target: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), 0..6_u8, any::<u8>());
    let changes = prop::collection::vec(change, 1..6);
    let like_seeds = (prop::sample::select(seeds(target)), changes).prop_map(|(seed, changes)| {
        let mut bytes = seed.1;
        for (at, how, value) in changes {
            let at = at.index(bytes.len() + 1);
            match (how, bytes.get_mut(at)) {
                (0..4, Some(byte)) => *byte ^= value,
                (4, Some(_)) => drop(bytes.remove(at)),
                _ => bytes.insert(at, value),
            }
        }
        bytes
    });
    let any = prop::collection::vec(any::<u8>(), 0..600);
    prop_oneof![4 => like_seeds, 1 => any]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_client_frame_that_is_read_is_the_same_when_written_again(
        bytes in bytes_like("client_frame")
    ) {
        fuzzing::client_frame(&bytes);
    }

    #[test]
    fn no_frames_of_a_server_leave_a_client_with_something_impossible(
        bytes in bytes_like("server_frames")
    ) {
        fuzzing::server_frames(&bytes);
    }

    #[test]
    fn a_client_knows_what_was_to_be_seen_whatever_the_network_does(
        bytes in bytes_like("viewer_acks")
    ) {
        fuzzing::viewer_acks(&bytes);
    }

    #[test]
    fn no_file_and_no_record_confuses_the_reader_of_logs(
        file in bytes_like("match_log"), forged in bytes_like("match_log_forged")
    ) {
        fuzzing::match_log(&file);
        fuzzing::match_log_forged(&forged);
    }

    #[test]
    fn damage_of_a_log_is_never_believed(bytes in bytes_like("match_log_flips")) {
        fuzzing::match_log_flips(&bytes);
    }
}
