//! The functions of [`crate::fuzzing`] as ordinary tests: over the fuzzer's seeds, over seeds with
//! a few changes, and over any bytes. `UPDATE_VECTORS=1 cargo test -p gameserver-transport` makes
//! the seeds anew.

use std::fs;
use std::path::PathBuf;

use gameserver_contract::ids::{GameId, PlayerId, Seat};
use gameserver_contract::session::Role;
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use crate::close::RefusalCode;
use crate::frame::{Answer, Credential, Hello, Mode, Refused, Welcome};
use crate::fuzzing;
use crate::websocket::json;

fn corpus(target: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    PathBuf::from(root).join(target)
}

fn hellos() -> Vec<(&'static str, Vec<u8>)> {
    let ticket = Credential::Ticket("eyJhbGciOiJFZERTQSJ9.e30.c2ln".to_owned());
    let resume = Credential::Resume("r".repeat(43));
    let native = Hello::new(Mode::Native, ticket, "console 0.1").with_fingerprint(u64::MAX);
    let thin = Hello::new(Mode::Thin, resume, "");
    let welcome = |seat, role| {
        Answer::Welcome(Welcome {
            connection: 70_000,
            player: PlayerId(Uuid::from_u128(7)),
            seat,
            role,
            tick_rate_hz: 60,
            snapshot_rate_hz: 20,
            resume_token: "r".repeat(43),
            datagram_size_max: 1_100,
            game: GameId::new("arena").unwrap(),
        })
    };
    let refused = Answer::Refused(Refused::new(RefusalCode::TicketUsed, "used"));
    vec![
        ("native", native.encode().unwrap()),
        ("thin", thin.encode().unwrap()),
        (
            "player",
            welcome(Some(Seat(300)), Role::Player).encode().unwrap(),
        ),
        (
            "spectator",
            welcome(None, Role::Spectator).encode().unwrap(),
        ),
        ("refused", refused.encode().unwrap()),
        ("future", b"\x93\x00\x02\xc0".to_vec()),
    ]
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let texts = [
        (
            "input",
            "[16,70000,[[100,-100,65535,3],[0,0,0,0]],300,4294967295]",
        ),
        ("ping", "[18,18446744073709551615]"),
        ("chat", r#"[19,"h\u00e9llo \"you\" \\ \n"]"#),
        (
            "every-value",
            r#"[0.5,-1e9,null,true,false,"",[[[]]],-9223372036854775808]"#,
        ),
    ];
    let mut seeds = Vec::new();
    for (name, text) in texts {
        seeds.push((name, text.as_bytes().to_vec()));
    }
    for (name, text) in [("packed-input", texts[0].1), ("packed-values", texts[3].1)] {
        seeds.push((name, json::to_message_pack(text).unwrap()));
    }
    seeds.push((
        "packed-bytes",
        b"\x92\xc4\x03\x00\xab\xff\xca\x3f\x80\x00\x00".to_vec(),
    ));
    seeds
}

fn seeds(target: &str) -> Vec<(&'static str, Vec<u8>)> {
    match target {
        "hello" => hellos(),
        _ => texts(),
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_what_this_build_writes() {
    for target in ["hello", "json"] {
        for (name, bytes) in seeds(target) {
            let path = corpus(target).join(format!("seed-{name}"));
            if std::env::var_os("UPDATE_VECTORS").is_some() {
                fs::create_dir_all(corpus(target)).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            let kept = fs::read(&path).unwrap_or_default();
            assert!(kept == bytes, "{} is out of date", path.display());
        }
    }
}

#[test]
fn every_seed_passes() {
    for (_, bytes) in hellos() {
        fuzzing::hello(&bytes);
    }
    for (_, bytes) in texts() {
        fuzzing::json(&bytes);
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
    let any = prop::collection::vec(any::<u8>(), 0..256);
    prop_oneof![4 => like_seeds, 1 => any]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn a_hello_that_is_read_is_the_same_when_written_and_read_again(bytes in bytes_like("hello")) {
        fuzzing::hello(&bytes);
    }

    #[test]
    fn a_frame_that_is_understood_as_json_can_be_told_again(bytes in bytes_like("json")) {
        fuzzing::json(&bytes);
    }
}
