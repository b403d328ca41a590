//! Reads the settings from their sources, judges each value, and remembers where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Settings;
use super::keys::{KEYS, Key};
use super::source::{self, Entry, Origin};

const DEFAULT_FILE: &str = "gameserver.toml";

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("failed to read the settings file {file}")]
    File {
        file: String,
        source: std::io::Error,
    },
    #[error("the settings file {file} cannot be read, line {line}: {problem}")]
    Syntax {
        file: String,
        line: usize,
        problem: String,
    },
    #[error("the variable {0} is not valid UTF-8")]
    NotUnicode(String),
    #[error("{}", all_of(.0))]
    Problems(Vec<Problem>),
    #[error(
        "production mode needs {}; see docs/configuration.md for how to make them",
        .0.join(", ")
    )]
    Missing(Vec<&'static str>),
    #[error(
        "no database is named: set database.url or DATABASE_URL; the one of `gameserver dev` is \
         sqlite:gameserver-data/gameserver.sqlite"
    )]
    NoDatabase,
    #[error("{name} cannot be used: {problem}")]
    Invalid { name: &'static str, problem: String },
    #[error("{first} and {second} are both port {port}; give each a port of its own")]
    SamePort {
        first: &'static str,
        second: &'static str,
        port: u16,
    },
    #[error("{name}: port {port} plus {offset} is no port; choose a smaller --port-offset")]
    Offset {
        name: &'static str,
        port: u16,
        offset: u16,
    },
    #[error("failed to use the settings")]
    WebApi(#[from] gameserver_web_api::config::ConfigError),
    /// The table of settings allows a value that their types do not: a fault of this program.
    #[error("the settings do not fit their types: {0}")]
    Types(#[from] toml::de::Error),
    #[error("the settings cannot be shown: {0}")]
    Shown(#[from] toml::ser::Error),
}

/// A value that cannot be used.
#[derive(Debug)]
pub(crate) struct Problem {
    name: String,
    /// None for a secret.
    shown: Option<String>,
    origin: Origin,
    wanted: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            origin,
            wanted,
            ..
        } = self;
        match &self.shown {
            Some(shown) => write!(f, "{name} is {shown} ({origin}): {wanted}"),
            None => write!(f, "{name} cannot be used ({origin}): {wanted}"),
        }
    }
}

/// One on the same line, several on lines of their own.
fn all_of(problems: &[Problem]) -> String {
    if let [problem] = problems {
        return problem.to_string();
    }
    let lines = problems.iter().map(|problem| format!("\n  {problem}"));
    let lines: String = lines.collect();
    format!("{} settings cannot be used:{lines}", problems.len())
}

/// The settings and where each came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// Reads the file, when there is one, and the environment.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, SettingsError> {
        let path = file.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
            Err(source) => {
                let file = path.display().to_string();
                return Err(SettingsError::File { file, source });
            }
        };
        Self::of(&path, &text, std::env::vars_os())
    }

    fn of(
        path: &Path,
        text: &str,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let mut entries = source::of_file(path, text)?;
        entries.extend(source::of_variables(variables)?);
        let (mut table, mut origins) = (Table::new(), BTreeMap::new());
        let mut problems = Vec::new();
        for entry in entries {
            match judge(&entry) {
                Ok((key, value)) => {
                    put(&mut table, key.name, value);
                    origins.insert(key.name, entry.origin);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(SettingsError::Problems(problems));
        }
        let settings = table.try_into()?;
        Ok(Self { settings, origins })
    }

    /// `key = value  # source` for every setting, secrets hidden.
    pub(crate) fn print(&self) -> Result<String, SettingsError> {
        let table = Table::try_from(&self.settings)?;
        let mut lines: Vec<_> = KEYS.iter().map(|key| self.line(key, &table)).collect();
        lines.sort();
        Ok(lines.join("\n"))
    }

    fn line(&self, key: &Key, table: &Table) -> String {
        let shown = match get(table, key.name) {
            None => "(none)".to_owned(),
            Some(Value::Array(items)) if items.is_empty() => "[]".to_owned(),
            Some(_) if key.is_secret() => "(hidden)".to_owned(),
            Some(value) => value.to_string(),
        };
        let origin = self.origins.get(key.name).unwrap_or(&Origin::Default);
        format!("{} = {shown}  # {origin}", key.name)
    }
}

fn judge(entry: &Entry) -> Result<(&'static Key, Value), Problem> {
    let problem = |shown, wanted| Problem {
        name: entry.name.clone(),
        shown,
        origin: entry.origin.clone(),
        wanted,
    };
    let Some(key) = Key::find(&entry.name) else {
        return Err(problem(None, no_such_setting(&entry.name)));
    };
    let shown = || (!key.is_secret()).then(|| entry.value.shown());
    match key.read(&entry.value) {
        Ok(value) => Ok((key, value)),
        Err(wanted) => Err(problem(shown(), wanted)),
    }
}

fn no_such_setting(name: &str) -> String {
    let section = name.split_once('.').map_or("", |(section, _)| section);
    let within = |key: &Key| {
        let (its_section, own) = key.name.split_once('.').unwrap_or(("", key.name));
        (its_section == section).then(|| own.to_owned())
    };
    let known: Vec<_> = KEYS.iter().filter_map(within).collect();
    if known.is_empty() {
        return format!("there is no section {section}");
    }
    format!("there is no such setting, only {}", known.join(", "))
}

fn put(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn get<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => table.get(name),
        Some((section, rest)) => get(table.get(section)?.as_table()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(toml: &str, variables: &[(&str, &str)]) -> Result<Loaded, SettingsError> {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Loaded::of(Path::new("test.toml"), toml, variables)
    }

    fn load(toml: &str) -> Result<Loaded, SettingsError> {
        load_with(toml, &[])
    }

    fn refusal(toml: &str, variables: &[(&str, &str)]) -> String {
        load_with(toml, variables).unwrap_err().to_string()
    }

    /// A value of each kind that its setting takes.
    const EVERYTHING: &str = include_str!("everything.toml");

    #[test]
    fn nothing_needs_to_be_set_for_development() {
        let settings = load("").unwrap().settings;
        assert_eq!(settings.http.address.port(), 8080);
        assert_eq!(settings.instance.resume_window_s, 30);
    }

    #[test]
    fn every_setting_has_a_rule_that_its_type_agrees_with() {
        let loaded = load(EVERYTHING).unwrap();
        for key in &KEYS {
            let origin = loaded.origins.get(key.name);
            assert!(origin.is_some(), "{} is not in everything.toml", key.name);
        }
        let mut names = Vec::new();
        let table = Table::try_from(&loaded.settings).unwrap();
        names_in("", &table, &mut names);
        for name in names {
            assert!(Key::find(&name).is_some(), "{name} has no rule in keys.rs");
        }
    }

    fn names_in(prefix: &str, table: &Table, names: &mut Vec<String>) {
        for (key, value) in table {
            if let Value::Table(inner) = value {
                names_in(&format!("{prefix}{key}."), inner, names);
            } else {
                names.push(format!("{prefix}{key}"));
            }
        }
    }

    #[test]
    fn the_defaults_keep_their_own_rules() {
        let printed = load("").unwrap().print().unwrap();
        let set = printed.lines().filter(|line| !line.contains("(none)"));
        load(&set.collect::<Vec<_>>().join("\n")).unwrap();
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it_its_line_and_those_that_exist() {
        let error = refusal("\n[http]\nadress = \"127.0.0.1:1\"", &[]);
        assert!(
            error.starts_with("http.adress cannot be used (test.toml, line 3): there is no such"),
            "{error}"
        );
        assert!(error.contains("only address, public_url"), "{error}");
        let error = refusal("", &[("GAMESERVER__HTP__ADDRESS", "x")]);
        assert!(
            error.contains("(variable GAMESERVER__HTP__ADDRESS): there is no section htp"),
            "{error}"
        );
    }

    #[test]
    fn a_later_source_wins_and_is_named() {
        let toml = "[instance]\nregion = \"eu\"\nmatches_max = 3";
        let loaded = load_with(toml, &[("GAMESERVER__INSTANCE__REGION", "us")]).unwrap();
        assert_eq!(loaded.settings.instance.region, "us");
        let printed = loaded.print().unwrap();
        for line in [
            "instance.region = \"us\"  # variable GAMESERVER__INSTANCE__REGION",
            "instance.matches_max = 3  # test.toml, line 3",
            "instance.players_max = 2000  # default",
        ] {
            assert!(printed.contains(line), "{line} is missing in\n{printed}");
        }
    }

    #[test]
    fn text_that_looks_like_a_number_stays_as_it_was_written() {
        let digits = "01234567890123456789";
        let variables = [
            ("GAMESERVER__INSTANCE__REGION", "01"),
            ("GAMESERVER__CONTROL__SECRET", digits),
            ("GAMESERVER__GAME__PUBLIC_HOST", "true.example"),
        ];
        let settings = load_with("", &variables).unwrap().settings;
        assert_eq!(settings.instance.region, "01");
        assert_eq!(settings.control.secret.as_deref(), Some(digits));
        for text in ["1e3", "0x10", "true", "1.50", "+7", " 7"] {
            let variables = [("GAMESERVER__INSTANCE__REGION", text)];
            let settings = load_with("", &variables).unwrap().settings;
            assert_eq!(settings.instance.region, text);
        }
    }

    #[test]
    fn a_text_setting_without_quotes_is_refused_in_a_file() {
        for written in ["1", "1.5", "true", "1979-05-27"] {
            let error = refusal(&format!("[instance]\nregion = {written}"), &[]);
            let expected = format!(
                "instance.region is {written} (test.toml, line 2): it must be text: put it in \
                 quotes"
            );
            assert_eq!(error, expected);
        }
        let error = refusal("[control]\nsecret = 12345678901234567", &[]);
        assert!(!error.contains("1234"), "{error}");
    }

    #[test]
    fn every_number_has_a_range_that_its_refusal_names() {
        let tried = KEYS.iter().filter_map(Key::range).flat_map(|range| {
            let (name, min, max) = range;
            [min - 1, min, max, max + 1].map(|number| (name, min..=max, number))
        });
        for (name, range, number) in tried {
            let (section, key) = name.split_once('.').unwrap();
            let loaded = load(&format!("[{section}]\n{key} = {number}"));
            let message = loaded.err().map(|error| error.to_string());
            let (min, max) = (range.start(), range.end());
            let expected = (!range.contains(&number)).then(|| {
                format!(
                    "{name} is {number} (test.toml, line 2): it must be a whole number from {min} \
                     to {max}"
                )
            });
            assert_eq!(message, expected);
        }
        for (section, key) in [("database", "connections_max"), ("instance", "workers")] {
            let name = format!("{section}.{key}");
            assert!(
                KEYS.iter()
                    .filter_map(Key::range)
                    .any(|range| range.0 == name)
            );
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_once_each() {
        let toml = "mode = \"prod\"\n[database]\nconnections_max = 0";
        let error = refusal(toml, &[("GAMESERVER__INSTANCE__WORKERS", "100000")]);
        assert_eq!(
            error,
            "3 settings cannot be used:\n  \
             database.connections_max is 0 (test.toml, line 3): it must be a whole number from 1 \
             to 1000\n  \
             mode is \"prod\" (test.toml, line 1): it must be development or production\n  \
             instance.workers is \"100000\" (variable GAMESERVER__INSTANCE__WORKERS): it must be \
             a whole number from 0 to 512"
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_its_line() {
        let error = refusal("[http]\naddress = ", &[]);
        assert!(
            error.starts_with("the settings file test.toml cannot be read, line 2: "),
            "{error}"
        );
    }

    #[test]
    fn an_address_for_players_that_is_none_is_refused() {
        for host in [
            "play.example.com:7777",
            "http://play.example.com",
            "play.example.com/eu",
            "[::1]",
            "",
            "play example",
            "0.0.0.0",
        ] {
            let toml = format!("[game]\npublic_host = {host:?}");
            let error = refusal(&toml, &[]);
            assert!(error.starts_with("game.public_host is "), "{host}: {error}");
        }
        let host = "[game]\npublic_host = \"play.example.com:7777\"";
        let error = refusal(host, &[]);
        assert!(error.contains("game.public_port"), "{error}");
    }

    #[test]
    fn secrets_are_hidden_when_settings_are_printed() {
        let loaded = load(
            "[control]\nsecret = \"planted-canary-0123\"\n\
             [database]\nurl = \"postgres://u:planted-canary@h/d\"",
        )
        .unwrap();
        let printed = loaded.print().unwrap();
        assert!(!printed.contains("canary"), "{printed}");
        for line in [
            "control.secret = (hidden)  # test.toml, line 2",
            "redis.url = (none)  # default",
        ] {
            assert!(printed.contains(line), "{line} is missing in\n{printed}");
        }
    }

    #[test]
    fn secrets_are_hidden_when_they_are_refused() {
        for name in KEYS
            .iter()
            .filter(|key| key.is_secret())
            .map(|key| key.name)
        {
            let (section, key) = name.split_once('.').unwrap();
            let error = refusal(&format!("[{section}]\n{key} = \"canary\""), &[]);
            assert!(error.starts_with(name), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
