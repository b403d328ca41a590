//! Rules about `migrations/postgres` and `migrations/sqlite`: numbered, in pairs, and never edited
//! once released.
//!
//! `migrations.sha256` lists the released ones. A migration that is not in the list may still
//! change. When a version is released, the list is completed by
//! `GAMESERVER_RECORD_MIGRATIONS=1 cargo test -p gameserver-tests --test specs migrations`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::{env, fs};

use sha2::{Digest, Sha256};
use xtask::tree::TextFile;

use super::{assert_kept, files, read, root};

const DIALECTS: [&str; 2] = ["postgres", "sqlite"];
const RELEASED: &str = "tests/specs/migrations.sha256";
const HEADER: &str = "\
# Released migrations: SHA-256 and path. Never change or remove a line: databases in the field have
# run that text. The head of tests/specs/repo/migrations.rs tells how lines are added.
";

fn migrations() -> Vec<TextFile> {
    let all = files(&[".sql"]).into_iter();
    all.filter(|file| file.path.starts_with("migrations/"))
        .collect()
}

/// Numbers of the migrations of one dialect in one direction (`up` or `down`).
fn numbers(migrations: &[TextFile], dialect: &str, direction: &str) -> Vec<u64> {
    let folder = format!("migrations/{dialect}/");
    let ending = format!(".{direction}.sql");
    let names = migrations.iter().filter_map(|file| {
        let name = file.path.strip_prefix(&folder)?.strip_suffix(&ending)?;
        name.split('_').next()?.parse().ok()
    });
    names.collect()
}

#[test]
fn every_migration_is_named_by_number_subject_and_direction() {
    let is_named_well = |path: &str| {
        let mut parts = path.split('/').skip(1);
        let (dialect, name) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let subject = name
            .strip_suffix(".up.sql")
            .or_else(|| name.strip_suffix(".down.sql"));
        let number = subject.and_then(|subject| subject.split_once('_'));
        DIALECTS.contains(&dialect)
            && parts.next().is_none()
            && number
                .is_some_and(|(number, what)| number.parse::<u64>().is_ok() && !what.is_empty())
    };
    let migrations = migrations();
    let odd = migrations.iter().filter(|file| !is_named_well(&file.path));
    let broken: Vec<_> = odd.map(|file| file.path.clone()).collect();
    assert_kept(
        "name it migrations/<postgres|sqlite>/0001_subject.<up|down>.sql",
        &broken,
    );
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let migrations = migrations();
    let mut broken = Vec::new();
    for dialect in DIALECTS {
        let numbers = numbers(&migrations, dialect, "up");
        let expected: Vec<u64> = (1..).take(numbers.len()).collect();
        if numbers != expected {
            broken.push(format!("migrations/{dialect}: {numbers:?}"));
        }
    }
    assert_kept(
        "number the migrations 1, 2, 3 … with equal width, each once",
        &broken,
    );
}

#[test]
fn every_migration_can_be_undone_and_exists_for_both_databases() {
    let migrations = migrations();
    let of = |dialect, direction| -> BTreeSet<u64> {
        numbers(&migrations, dialect, direction)
            .into_iter()
            .collect()
    };
    let all: BTreeSet<u64> = DIALECTS
        .iter()
        .flat_map(|dialect| of(dialect, "up"))
        .collect();
    let mut broken = Vec::new();
    for dialect in DIALECTS {
        for direction in ["up", "down"] {
            let missing = all
                .difference(&of(dialect, direction))
                .copied()
                .collect::<Vec<_>>();
            let place = format!("migrations/{dialect}: no {direction} for {missing:?}");
            broken.extend((!missing.is_empty()).then_some(place));
        }
    }
    assert_kept(
        "add the file, even if this database has nothing to do",
        &broken,
    );
}

#[test]
fn no_migration_changes_after_its_release() {
    let mut released = released();
    let now: BTreeMap<String, String> = migrations()
        .into_iter()
        .map(|file| (file.path, sha256(&file.text)))
        .collect();
    let changed = released
        .iter()
        .filter(|(path, hash)| now.get(*path) != Some(hash));
    let broken: Vec<_> = changed.map(|(path, _)| path.clone()).collect();
    assert_kept(
        "restore the released text and add a new migration instead",
        &broken,
    );
    if env::var_os("GAMESERVER_RECORD_MIGRATIONS").is_some() {
        released.extend(now);
        record(&released);
    }
}

/// Path and hash of every released migration.
fn released() -> BTreeMap<String, String> {
    let text = read(RELEASED);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let entries = lines.map(|line| {
        line.split_once("  ")
            .expect("a line is: hash, two blanks, path")
    });
    entries
        .map(|(hash, path)| (path.to_owned(), hash.to_owned()))
        .collect()
}

fn record(released: &BTreeMap<String, String>) {
    let mut text = HEADER.to_owned();
    for (path, hash) in released {
        writeln!(text, "{hash}  {path}").expect("a string takes every text");
    }
    fs::write(root().join(RELEASED), text).expect("the list can be written");
}

fn sha256(text: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(text) {
        write!(hex, "{byte:02x}").expect("a string takes every text");
    }
    hex
}
