//! Rules about what we write for people: it exists, it is short, its links and commands work.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{assert_kept, files, read, root};

/// Documents that everybody reads in one go, and their words at most.
const WORDS_MAX: [(&str, usize); 2] = [("README.md", 600), ("ARCHITECTURE.md", 3_000)];
/// What a newcomer, an operator and a reporter of a weakness look for.
const REQUIRED: [&str; 9] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "docs/configuration.md",
    "docs/features.toml",
    "docs/limits.md",
    "docs/protocol.md",
];

#[test]
fn the_documents_that_people_look_for_exist() {
    let missing = REQUIRED.iter().filter(|path| !root().join(path).is_file());
    let broken: Vec<_> = missing.map(|&path| path.to_owned()).collect();
    assert_kept("write the document", &broken);
}

#[test]
fn documents_that_everybody_reads_are_short() {
    let lengths = WORDS_MAX.map(|(path, max)| (path, read(path).split_whitespace().count(), max));
    let long = lengths.iter().filter(|(_, words, max)| words > max);
    let broken: Vec<_> = long
        .map(|(path, words, max)| format!("{path}: {words} of {max} words"))
        .collect();
    assert_kept("shorten it; details belong in docs/", &broken);
}

#[test]
fn every_constant_in_the_table_of_limits_exists() {
    let sources = files(&[".rs"]);
    let names: BTreeSet<_> = sources
        .iter()
        .flat_map(|file| declared(&file.text))
        .collect();
    let page = read("docs/limits.md");
    let listed = constants(&page).into_iter();
    let missing = listed.filter(|name| !names.contains(name));
    let broken: Vec<_> = missing
        .map(|name| format!("docs/limits.md: {name}"))
        .collect();
    assert_kept("name the constant as the code does", &broken);
}

/// Constants and types in the last column of the page's tables.
fn constants(page: &str) -> Vec<&str> {
    let columns = page
        .lines()
        .filter_map(|line| line.strip_suffix(" |")?.rsplit("| ").next());
    columns
        .flat_map(|column| column.split('`').skip(1).step_by(2))
        .filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()))
        .collect()
}

/// Names of the constants and types that the text declares.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|part: char| !part.is_alphanumeric() && part != '_');
    words
        .clone()
        .zip(words.skip(1))
        .filter(|(kind, _)| matches!(*kind, "const" | "struct" | "enum"))
        .map(|(_, name)| name)
}

#[test]
fn the_changelog_has_a_place_for_what_is_not_released() {
    let has_place = read("CHANGELOG.md")
        .lines()
        .any(|line| line.starts_with("## [Unreleased]"));
    assert!(
        has_place,
        "CHANGELOG.md:1: add `## [Unreleased]` (keepachangelog.com)"
    );
}

#[test]
fn every_shell_command_in_the_documents_is_valid_shell() {
    let mut broken = Vec::new();
    for file in files(&[".md"]) {
        let blocks = shell_blocks(&file.text).into_iter();
        let invalid = blocks.filter_map(|(line, text)| Some((line, shell_error(&text)?)));
        broken.extend(invalid.map(|(line, error)| format!("{}:{line}: {error}", file.path)));
    }
    assert_kept("repair the command, or mark the block as `text`", &broken);
}

/// First line and text of every fenced block in a shell language.
fn shell_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```").map(str::trim);
        open = match (open.take(), fence) {
            (Some(block), Some("")) => {
                blocks.push(block);
                None
            }
            (Some((start, text)), _) => Some((start, text + line + "\n")),
            (None, Some("sh" | "bash" | "shell")) => Some((index + 2, String::new())),
            (None, _) => None,
        };
    }
    blocks
}

/// What `bash -n` says against the text.
fn shell_error(text: &str) -> Option<String> {
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash is installed");
    let mut input = bash.stdin.take().expect("the input is a pipe");
    input
        .write_all(text.as_bytes())
        .expect("bash reads its input");
    drop(input);
    let output = bash
        .wait_with_output()
        .expect("bash ends at the end of its input");
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (!output.status.success()).then_some(told)
}

#[test]
fn every_relative_link_in_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for file in files(&[".md"]) {
        let folder = root().join(Path::new(&file.path).parent().unwrap_or(Path::new("")));
        let mut is_code = false;
        for (number, line) in file.numbered_lines() {
            is_code ^= line.trim_start().starts_with("```");
            let dead = links(line).filter(|link| !is_code && !leads_somewhere(&folder, link));
            broken.extend(dead.map(|link| format!("{}:{number}: {link}", file.path)));
        }
    }
    assert_kept("correct the link", &broken);
}

/// Targets of `[text](target)` in the line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
}

fn leads_somewhere(folder: &Path, link: &str) -> bool {
    let is_address = link.contains("://") || link.starts_with("mailto:");
    let path = link.split('#').next().unwrap_or_default();
    is_address || path.is_empty() || folder.join(path).exists()
}

#[test]
fn a_dead_link_a_wrong_command_and_a_missing_constant_are_noticed() {
    let found: Vec<_> = links("see [a](docs/a.md#part) and [b](https://b.example)").collect();
    assert_eq!(found, ["docs/a.md#part", "https://b.example"]);
    assert!(!leads_somewhere(&root(), "docs/no-such-page.md#part"));
    assert_eq!(
        shell_blocks("x\n```sh\necho 1\n```\n"),
        [(3, "echo 1\n".to_owned())]
    );
    assert!(shell_error("if true; then echo").is_some());
    assert_eq!(
        constants("| what | 64 `a` | `b` | `MAX`, `some.setting`, `Limits` |"),
        ["MAX", "Limits"]
    );
    let names: Vec<_> = declared("pub const MAX: usize = 1; struct Limits;").collect();
    assert_eq!(names, ["MAX", "Limits"]);
}
