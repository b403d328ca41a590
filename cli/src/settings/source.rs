//! Reads settings from a file and from the environment, each value with its origin.
//!
//! It validates nothing: `load.rs` checks names and values.

use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::SettingsError;
use super::keys::Key;
use super::raw_value::RawValue;

/// Begins the names of our own variables; the rest is `SECTION__KEY`.
const PREFIX: &str = "GAMESERVER__";
/// Separates section and key in a variable's name.
const SEPARATOR: &str = "__";

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The built-in value.
    Default,
    /// A line of the settings file, counted from 1.
    File { file: String, line: usize },
    /// A variable of the environment.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}, line {line}"),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

/// A value with its name and its origin.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: RawValue,
    pub(super) origin: Origin,
}

/// The entries of a file.
pub(super) fn of_file(path: &Path, text: &str) -> Result<Vec<Entry>, SettingsError> {
    let file = path.display().to_string();
    let table = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
        line: line_of(text, &error.span().unwrap_or_default()),
        file: file.clone(),
        problem: error.message().replace('\n', " "),
    })?;
    let mut entries = Vec::new();
    let source = Source { file, text };
    source.flatten("", table.get_ref(), &mut entries);
    Ok(entries)
}

fn line_of(text: &str, place: &Range<usize>) -> usize {
    let before = text.get(..place.start).unwrap_or(text);
    before.matches('\n').count() + 1
}

struct Source<'a> {
    file: String,
    text: &'a str,
}

impl Source<'_> {
    fn flatten(&self, prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(inner) = value.get_ref()
                && Key::find(&name).is_none()
                && !inner.is_empty()
            {
                self.flatten(&format!("{name}."), inner, entries);
                continue;
            }
            let written = self.text.get(value.span()).unwrap_or_default();
            entries.push(Entry {
                name,
                value: RawValue::of(value.get_ref(), written),
                origin: Origin::File {
                    file: self.file.clone(),
                    line: line_of(self.text, &key.span()),
                },
            });
        }
    }
}

/// The entries of the environment: first the names that hosting platforms use, then our own.
pub(super) fn of_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Entry>, SettingsError> {
    let (mut common, mut own) = (Vec::new(), Vec::new());
    for (variable, value) in variables {
        // None of our names is invalid Unicode.
        let Some(variable) = variable.to_str() else {
            continue;
        };
        let (name, entries) = match (setting_of(variable), variable) {
            (Some(name), _) => (name, &mut own),
            (None, "DATABASE_URL") => ("database.url".to_owned(), &mut common),
            (None, "REDIS_URL") => ("redis.url".to_owned(), &mut common),
            (None, "PORT") => ("http.address".to_owned(), &mut common),
            (None, _) => continue,
        };
        let Ok(value) = value.into_string() else {
            return Err(SettingsError::NotUnicode(variable.to_owned()));
        };
        if value.is_empty() {
            continue;
        }
        let value = if variable == "PORT" {
            format!("0.0.0.0:{value}")
        } else {
            value
        };
        entries.push(Entry {
            name,
            value: RawValue::Plain(value),
            origin: Origin::Variable(variable.to_owned()),
        });
    }
    common.append(&mut own);
    Ok(common)
}

fn setting_of(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(PREFIX)?;
    Some(rest.to_ascii_lowercase().replace(SEPARATOR, "."))
}
