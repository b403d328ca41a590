//! The repository's own rules, so that a review can be about the change and not about habits.
//!
//! Each rule is one test. Its name is the rule; its message names every place and what to do.

mod dependencies;
mod documents;
mod features;
mod licences;
mod manifests;
mod migrations;
mod names;
mod source;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::{env, fs};

use xtask::tree::{self, TextFile};

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    tree::repository_root().expect("tests run inside the repository")
}

/// Every file of the repository with one of these endings.
fn files(endings: &[&str]) -> Vec<TextFile> {
    tree::files_ending_in(&root(), endings).expect("the repository can be read")
}

/// The text of a file that must exist.
pub(crate) fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    assert!(text.is_ok(), "{path} must be a text: {text:?}");
    text.unwrap_or_default()
}

/// Fails with all places at once, so that one run is enough to repair them.
pub(crate) fn assert_kept(what_to_do: &str, broken_at: &[String]) {
    let count = broken_at.len();
    assert!(
        broken_at.is_empty(),
        "{what_to_do} ({count}):\n  {}",
        broken_at.join("\n  ")
    );
}

/// Runs the Cargo that runs this test; it never uses the network and builds nothing.
fn cargo(arguments: &[&str]) -> Output {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    Command::new(program)
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo can be started")
}
