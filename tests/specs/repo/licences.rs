//! The licences of everything that is built, against the list in `deny.toml`, and of what is copied
//! into the repository.
//!
//! Asks `cargo tree` and not `cargo metadata`: only the first leaves out what is locked for other
//! platforms and features and never compiled here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use toml::{Table, Value};

use super::{assert_kept, cargo, read, root};

/// Other people's code in the repository: one folder each.
const VENDORED: &str = "sdk/javascript/vendor";

fn allowed() -> BTreeSet<String> {
    let deny: Table = read("deny.toml").parse().expect("deny.toml is valid TOML");
    let list = deny["licenses"]
        .get("allow")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    list.filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect()
}

#[test]
fn everything_that_is_built_has_an_allowed_licence() {
    let format = ["--prefix", "none", "--format", "{p}\t{l}"];
    let output = cargo(&[&["tree", "--workspace"][..], &format].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed: {errors}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let licences: BTreeMap<_, _> = lines.lines().filter_map(package_and_licence).collect();
    assert!(licences.len() > 10, "cargo tree lists the packages");
    let allowed = allowed();
    let refused = licences
        .iter()
        .filter(|(_, licence)| !is_allowed(licence, &allowed));
    let broken: Vec<_> = refused
        .map(|(name, licence)| format!("{name}: `{licence}`"))
        .collect();
    assert_kept(
        "replace the crate, or discuss the licence and add it to deny.toml",
        &broken,
    );
}

/// Cargo marks a package that it has listed before.
fn package_and_licence(line: &str) -> Option<(&str, &str)> {
    line.trim_end_matches(" (*)").split_once('\t')
}

/// Evaluates an SPDX expression. A slash is the old way to write OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Expression {
        words: &words,
        allowed,
    };
    reader.any_of() && reader.words.is_empty()
}

/// What is left to read of an expression. OR binds weaker than AND, and AND weaker than WITH.
struct Expression<'a> {
    words: &'a [&'a str],
    allowed: &'a BTreeSet<String>,
}

impl Expression<'_> {
    fn any_of(&mut self) -> bool {
        let mut is_allowed = self.all_of();
        while self.take("OR") {
            is_allowed |= self.all_of();
        }
        is_allowed
    }

    fn all_of(&mut self) -> bool {
        let mut is_allowed = self.one();
        while self.take("AND") {
            is_allowed &= self.one();
        }
        is_allowed
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            return self.any_of() & self.take(")");
        }
        let [name, rest @ ..] = self.words else {
            return false;
        };
        let mut name = (*name).to_owned();
        self.words = rest;
        if self.take("WITH")
            && let [exception, rest @ ..] = self.words
        {
            name = format!("{name} WITH {exception}");
            self.words = rest;
        }
        self.allowed.contains(&name)
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.words = &self.words[1..];
        }
        is_next
    }
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
        .map(str::to_owned)
        .into();
    for good in [
        "MIT",
        "MIT/GPL-3.0",
        "GPL-2.0 OR (MIT AND ISC)",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR GPL-3.0) AND GPL-2.0",
        "Apache-2.0",
        "MIT ISC",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

#[test]
fn everything_that_is_copied_has_its_licence_beside_it() {
    let folders = fs::read_dir(root().join(VENDORED)).expect("a folder");
    let paths = folders.map(|entry| entry.expect("an entry").path());
    let bare = paths.filter(|path| !path.join("LICENSE").is_file());
    let broken: Vec<_> = bare.map(|path| path.display().to_string()).collect();
    assert_kept(
        "copy it into a folder of its own, with the LICENSE that came with it",
        &broken,
    );
}
