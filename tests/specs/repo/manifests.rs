//! Rules about the `Cargo.toml` files.

use toml::Table;
use xtask::tree::TextFile;

use super::{assert_kept, files};

/// Keys that every crate takes from the workspace.
const INHERITED: [&str; 5] = ["version", "edition", "license", "rust-version", "publish"];

fn crates() -> Vec<(TextFile, Table)> {
    let manifests = files(&["Cargo.toml"]).into_iter();
    let parsed = manifests.map(|file| {
        let table = file
            .text
            .parse::<Table>()
            .expect("cargo has read the manifest before");
        (file, table)
    });
    parsed
        .filter(|(_, table)| table.contains_key("package"))
        .collect()
}

fn is_inherited(table: Option<&toml::Value>) -> bool {
    table
        .and_then(|value| value.get("workspace"))
        .and_then(toml::Value::as_bool)
        == Some(true)
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let without = crates()
        .into_iter()
        .filter(|(_, table)| !is_inherited(table.get("lints")));
    let broken: Vec<_> = without.map(|(file, _)| file.path).collect();
    assert_kept("add `[lints]` with `workspace = true`", &broken);
}

#[test]
fn every_crate_inherits_version_edition_and_licence() {
    let mut broken = Vec::new();
    for (file, table) in crates() {
        let own = INHERITED
            .iter()
            .filter(|key| !is_inherited(table["package"].get(**key)));
        broken.extend(own.map(|key| format!("{}: {key}", file.path)));
    }
    assert_kept("write `<key>.workspace = true` under [package]", &broken);
}

#[test]
fn every_crate_says_in_one_line_what_it_is() {
    let description = |table: &Table| table["package"].get("description").is_some();
    let without = crates()
        .into_iter()
        .filter(|(_, table)| !description(table));
    let broken: Vec<_> = without.map(|(file, _)| file.path).collect();
    assert_kept("add a `description` under [package]", &broken);
}
