//! Reads the settings from their sources and remembers which source each came from.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, Environment, File, FileFormat, Map, Source as _, Value, ValueKind};

use super::Settings;

const DEFAULT_FILE: &str = "gameserver.toml";
/// Keys whose values are never shown.
const SECRET_KEYS: [&str; 8] = [
    "control.secret",
    "database.url",
    "keys.access_token",
    "keys.access_token_previous",
    "keys.cursor",
    "keys.refresh",
    "keys.ticket",
    "redis.url",
];

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{0}")]
    Source(#[from] config::ConfigError),
    #[error("production mode needs {0}; see docs/configuration.md for how to make one")]
    Missing(&'static str),
    #[error("{name} cannot be used: {problem}")]
    Invalid { name: &'static str, problem: String },
}

/// The settings and where each came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    layers: Vec<(String, Map<String, Value>)>,
}

impl Loaded {
    /// Reads the file, when there is one, and the environment.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, SettingsError> {
        let name = file.map_or(DEFAULT_FILE.into(), |path| path.to_string_lossy());
        let file = File::new(&name, FileFormat::Toml).required(file.is_some());
        Self::from_layers(vec![
            (name.to_string(), file.collect()?),
            ("environment".to_owned(), common_variables()?),
            ("environment".to_owned(), own_variables().collect()?),
        ])
    }

    fn from_layers(layers: Vec<(String, Map<String, Value>)>) -> Result<Self, SettingsError> {
        let mut builder = Config::builder();
        for (_, layer) in &layers {
            builder = builder.add_source(Layer(layer.clone()));
        }
        let settings = builder.build()?.try_deserialize()?;
        Ok(Self { settings, layers })
    }

    /// `key = value  # source` for every setting, secrets hidden.
    pub(crate) fn print(&self) -> Result<String, SettingsError> {
        let defaults = Config::try_from(&self.settings)?;
        let mut rows = BTreeMap::new();
        flatten("", &defaults.cache, &mut rows);
        let line = |(key, value): (&String, &String)| {
            let shown = if SECRET_KEYS.contains(&key.as_str()) && value != "(none)" {
                "(hidden)"
            } else {
                value
            };
            format!("{key} = {shown}  # {}", self.source_of(key))
        };
        Ok(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    fn source_of(&self, key: &str) -> &str {
        let has = |layer: &Map<String, Value>| {
            let mut rows = BTreeMap::new();
            let table = Value::new(None, ValueKind::Table(layer.clone()));
            flatten("", &table, &mut rows);
            rows.contains_key(key)
        };
        let source = self.layers.iter().rev().find(|(_, layer)| has(layer));
        source.map_or("default", |(name, _)| name)
    }
}

/// One source that was already read.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn own_variables() -> Environment {
    Environment::with_prefix("GAMESERVER")
        .prefix_separator("__")
        .separator("__")
        .list_separator(",")
        .with_list_parse_key("http.cors_origins")
        .with_list_parse_key("http.known_games")
        .with_list_parse_key("game.origins")
        .with_list_parse_key("keys.access_token_previous")
        .try_parsing(true)
        .ignore_empty(true)
}

/// The names that hosting platforms use.
fn common_variables() -> Result<Map<String, Value>, config::ConfigError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let port = variable("PORT").map(|port| format!("0.0.0.0:{port}"));
    let builder = Config::builder()
        .set_override_option("database.url", variable("DATABASE_URL"))?
        .set_override_option("redis.url", variable("REDIS_URL"))?
        .set_override_option("http.address", port)?;
    builder.build()?.collect()
}

fn flatten(prefix: &str, value: &Value, rows: &mut BTreeMap<String, String>) {
    if let ValueKind::Table(table) = &value.kind {
        for (key, value) in table {
            let key = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            flatten(&key, value, rows);
        }
        return;
    }
    let shown = match &value.kind {
        ValueKind::Nil => "(none)".to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::Table(_) => value.to_string(),
    };
    rows.insert(prefix.to_owned(), shown);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(toml: &str) -> Map<String, Value> {
        File::from_str(toml, FileFormat::Toml).collect().unwrap()
    }

    fn load(toml: &str) -> Result<Loaded, SettingsError> {
        Loaded::from_layers(vec![("test.toml".to_owned(), layer(toml))])
    }

    #[test]
    fn nothing_needs_to_be_set_for_development() {
        let settings = load("").unwrap().settings;
        assert_eq!(settings.http.address.port(), 8080);
        assert_eq!(settings.instance.resume_window_s, 30);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = load("[http]\nadress = \"127.0.0.1:1\"").unwrap_err();
        assert!(error.to_string().contains("adress"), "{error}");
    }

    #[test]
    fn a_later_source_wins_and_is_named() {
        let layers = vec![
            (
                "a.toml".to_owned(),
                layer("[instance]\nregion = \"eu\"\nmatches_max = 3"),
            ),
            ("b.toml".to_owned(), layer("[instance]\nregion = \"us\"")),
        ];
        let loaded = Loaded::from_layers(layers).unwrap();
        assert_eq!(loaded.settings.instance.region, "us");
        let printed = loaded.print().unwrap();
        assert!(
            printed.contains("instance.region = \"us\"  # b.toml"),
            "{printed}"
        );
        assert!(
            printed.contains("instance.matches_max = 3  # a.toml"),
            "{printed}"
        );
        assert!(
            printed.contains("instance.players_max = 2000  # default"),
            "{printed}"
        );
    }

    #[test]
    fn secrets_are_hidden_when_settings_are_printed() {
        let loaded = load(
            "[control]\nsecret = \"planted-canary\"\n\
             [database]\nurl = \"postgres://u:planted-canary@h/d\"",
        )
        .unwrap();
        let printed = loaded.print().unwrap();
        assert!(!printed.contains("canary"), "{printed}");
        assert!(
            printed.contains("control.secret = (hidden)  # test.toml"),
            "{printed}"
        );
        assert!(
            printed.contains("redis.url = (none)  # default"),
            "{printed}"
        );
    }
}
