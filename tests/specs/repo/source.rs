//! Rules about the text of our source files: length, comments, forbidden words and calls. Those
//! about syntax are for Rust only.

use xtask::functions::{FunctionKind, Outline};
use xtask::tree::TextFile;

use super::{assert_kept, files};

/// Lines of the longest file.
const FILE_LINES_MAX: usize = 600;
/// Lines that nine of ten files stay within.
const FILE_LINES_P90: usize = 400;
/// Characters of the longest line, as in `rustfmt.toml`.
const LINE_WIDTH_MAX: usize = 100;
/// Lines of the longest function, as in `clippy.toml`.
const FUNCTION_LINES_MAX: usize = 70;
/// Files that hold code in which unfinished work may not be marked.
const CODE_ENDINGS: [&str; 10] = [
    ".rs", ".sql", ".proto", ".js", ".mjs", ".ts", ".py", ".sh", ".toml", ".yml",
];
/// Source that is not Rust, and how a file of it begins.
const SCRIPT_BEGINNINGS: [(&str, &str); 4] = [
    (".js", "/**"),
    (".mjs", "/**"),
    (".ts", "/**"),
    (".py", "\"\"\""),
];
/// Split, so that this file does not break its own rule.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
];

fn product_files() -> impl Iterator<Item = TextFile> {
    files(&[".rs"])
        .into_iter()
        .filter(|file| !file.is_test_code() && !file.is_generated())
}

fn outline(file: &TextFile) -> Outline {
    let outline = Outline::of(&file.text);
    assert!(
        outline.is_ok(),
        "{} must be valid Rust: {outline:?}",
        file.path
    );
    outline.unwrap_or_default()
}

#[test]
fn every_rust_file_begins_with_what_it_is_for() {
    let silent = files(&[".rs"])
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "));
    let broken: Vec<_> = silent.map(|file| format!("{}:1", file.path)).collect();
    assert_kept(
        "begin the file with `//!`: what it is for and what it does not know",
        &broken,
    );
}

#[test]
fn every_script_begins_with_what_it_is_for() {
    let silent = SCRIPT_BEGINNINGS.into_iter().flat_map(|(ending, begins)| {
        let of_kind = files(&[ending]).into_iter();
        of_kind.filter(move |file| !file.text.starts_with(begins))
    });
    let broken: Vec<_> = silent.map(|file| format!("{}:1", file.path)).collect();
    assert_kept(
        "begin the file with a comment or a docstring: what it is for",
        &broken,
    );
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let scripts = files(&SCRIPT_BEGINNINGS.map(|(ending, _)| ending));
    let all = product_files().chain(scripts);
    let long = all.filter(|file| file.line_count() > FILE_LINES_MAX);
    let broken: Vec<_> = long
        .map(|f| format!("{}:{}", f.path, f.line_count()))
        .collect();
    assert_kept("split the file by concept, best before 400 lines", &broken);
}

#[test]
fn nine_of_ten_files_have_at_most_400_lines() {
    let mut sizes: Vec<_> = product_files().map(|f| (f.line_count(), f.path)).collect();
    let long_allowed = sizes.len() / 10;
    sizes.sort_unstable();
    let longest = sizes
        .iter()
        .rev()
        .take_while(|(lines, _)| *lines > FILE_LINES_P90);
    let broken: Vec<_> = longest
        .map(|(lines, path)| format!("{path}:{lines}"))
        .collect();
    if broken.len() > long_allowed {
        assert_kept(
            "more than a tenth of the files is long: split some of them",
            &broken,
        );
    }
}

#[test]
fn no_line_is_longer_than_100_characters() {
    let mut broken = Vec::new();
    for file in files(&[".rs"])
        .into_iter()
        .filter(|file| !file.is_generated())
    {
        // rustfmt leaves texts and addresses whole.
        let long = file.numbered_lines().filter(|(_, line)| {
            line.chars().count() > LINE_WIDTH_MAX && !line.contains('"') && !line.contains("://")
        });
        broken.extend(long.map(|(number, _)| format!("{}:{number}", file.path)));
    }
    assert_kept("wrap the line at 100 characters", &broken);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let mut broken = Vec::new();
    for file in product_files() {
        let functions = outline(&file).functions.into_iter();
        let long = functions.filter(|function| {
            function.kind == FunctionKind::Product && function.line_count > FUNCTION_LINES_MAX
        });
        broken
            .extend(long.map(|f| format!("{}:{} {}: {}", file.path, f.line, f.name, f.line_count)));
    }
    assert_kept(
        "split the function: decisions above, plain work below",
        &broken,
    );
}

#[test]
fn unwrap_is_called_in_tests_only() {
    let mut broken = Vec::new();
    for file in product_files() {
        let lines = outline(&file).unwrap_lines.into_iter();
        broken.extend(lines.map(|line| format!("{}:{line}", file.path)));
    }
    assert_kept(
        "return an error, or `expect(\"why it cannot fail\")`",
        &broken,
    );
}

/// What Bevy's own error type is: it has causes, but does not give them.
const WITHOUT_CAUSES: &str = "server/src/telemetry.rs";

#[test]
fn errors_are_logged_with_their_causes() {
    let outermost_only = concat!("%", "error");
    let mut broken = Vec::new();
    for file in product_files().filter(|file| file.path != WITHOUT_CAUSES) {
        let lines = file.numbered_lines();
        let found = lines.filter(|(_, line)| line.contains(outermost_only));
        broken.extend(found.map(|(number, _)| format!("{}:{number}", file.path)));
    }
    assert_kept(
        "log `error = &error as &dyn std::error::Error`: its text alone leaves the causes out",
        &broken,
    );
}

#[test]
fn nothing_in_the_code_is_left_unfinished() {
    let mut broken = Vec::new();
    for file in files(&CODE_ENDINGS) {
        let marked = file.numbered_lines().filter(|(_, line)| is_marked(line));
        broken.extend(marked.map(|(number, _)| format!("{}:{number}", file.path)));
    }
    assert_kept("finish it, or open an issue and remove the mark", &broken);
}

/// Whether the line has one of the marks as a word of its own.
fn is_marked(line: &str) -> bool {
    UNFINISHED.iter().any(|mark| {
        line.match_indices(mark).any(|(at, _)| {
            let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
            let (before, after) = (&line[..at], &line[at + mark.len()..]);
            let goes_on = is_word(after.chars().next()) && mark.ends_with(char::is_uppercase);
            !is_word(before.chars().next_back()) && !goes_on
        })
    })
}

#[test]
fn the_rule_about_unfinished_work_finds_words_and_not_parts_of_words() {
    assert!(is_marked(concat!("// TO", "DO: later")));
    assert!(is_marked(concat!("    to", "do!()")));
    assert!(!is_marked(concat!("let METO", "DOS = 3;")));
}
