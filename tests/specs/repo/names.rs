//! One meaning per word: a public type's name stands in one crate only.
//!
//! It reads declarations line by line and knows no scopes.

use std::collections::{BTreeMap, BTreeSet};

use super::{assert_kept, files};

/// Names that several crates may give to types of their own, and why.
const SHARED_NAMES: [(&str, &str); 3] = [
    ("Deps", "what a service is made of; each has its own"),
    (
        "StartError",
        "why a service does not start; each has its own",
    ),
    ("SeatChange", "the match log's form of the engine's message"),
];

#[test]
fn a_public_type_has_a_name_of_its_own() {
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(&[".rs"]) {
        let is_product = !file.is_test_code() && !file.path.starts_with("tests/");
        let Some((folder, _)) = file.path.split_once("/src/").filter(|_| is_product) else {
            continue;
        };
        for name in file.text.lines().filter_map(public_type) {
            let stands_in = crates.entry(name.to_owned()).or_default();
            stands_in.insert(folder.to_owned());
        }
    }
    let is_shared = |name: &str| SHARED_NAMES.iter().any(|(shared, _)| *shared == name);
    let broken: Vec<_> = crates
        .iter()
        .filter(|(name, stands_in)| stands_in.len() > 1 && !is_shared(name))
        .map(|(name, stands_in)| format!("{name}: {stands_in:?}"))
        .collect();
    assert_kept("give each of these types a name that says more", &broken);
}

/// The name of the type that this line declares for other crates.
fn public_type(line: &str) -> Option<&str> {
    let declaration = line.strip_prefix("pub ")?;
    let (kind, rest) = declaration.split_once(' ')?;
    let is_type = ["struct", "enum", "trait"].contains(&kind);
    let end = rest.find(|letter: char| !letter.is_alphanumeric())?;
    is_type.then(|| &rest[..end])
}
