//! Who may use whom within this crate: capabilities use the kit and the capabilities that their
//! constructors name, and nobody uses composition.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every edge between parts that may exist. `config` and `telemetry` are leaves.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("kit", &["config", "telemetry"]),
    ("accounts", &["kit", "config"]),
    ("fleet", &["kit", "config"]),
    ("sessions", &["fleet", "kit", "config"]),
    (
        "matches",
        &["accounts", "fleet", "sessions", "kit", "config"],
    ),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "tests" || name.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The parts that the product code of a file names.
fn parts(text: &str) -> BTreeSet<String> {
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let mut parts = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap(),
            None => rest,
        };
        for name in names.split(',') {
            let is_other = |c: char| !c.is_ascii_lowercase() && c != '_';
            let word = name.trim().split(is_other).next().unwrap();
            parts.insert(word.to_owned());
            if !rest.starts_with('{') {
                break;
            }
        }
    }
    parts.remove("");
    parts
}

#[test]
fn capabilities_use_only_whom_they_may_use() {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    for (part, allowed) in ALLOWED {
        for file in files(&source.join(part)) {
            let used = parts(&fs::read_to_string(&file).unwrap());
            let forbidden: Vec<_> = used
                .iter()
                .filter(|name| *name != part && !allowed.contains(&name.as_str()))
                .collect();
            assert!(forbidden.is_empty(), "{}: {forbidden:?}", file.display());
        }
    }
}
