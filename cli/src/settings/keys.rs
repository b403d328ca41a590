//! The rule of each setting: kind, range, and whether its value is shown.
//!
//! It does not depend on a value's origin; `load.rs` does.

use std::net::SocketAddr;

use gameserver_contract::ids::GameId;
use gameserver_control::secret::ControlSecret;
use gameserver_server::config::{Origins, PathPrefix, PublicHost};
use gameserver_web_api::SecretKey;
use toml::Value;
use url::Url;

use super::raw_value::RawValue;

/// Most matches of an instance: what one heartbeat can report.
pub(crate) const MATCHES_MAX: i64 = 4_096;
/// Most calls a minute that a rate limit can allow.
const RATE_MAX: i64 = 1_000_000;
/// Most worker threads: more than any machine has cores for.
const WORKERS_MAX: i64 = 512;

/// One setting.
#[derive(Debug)]
pub(super) struct Key {
    /// `section.key`.
    pub(super) name: &'static str,
    kind: Kind,
}

/// Accepts a text, or returns what it must be.
type Check = fn(&str) -> Result<(), String>;

#[derive(Debug)]
enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number from the first to the second, both included.
    Number(i64, i64),
    Flag,
    /// IP address and port.
    Address,
    Text(Check),
    /// Text of which nothing is shown.
    Secret(Check),
    Texts(Check),
    Secrets(Check),
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// Every setting, by section.
pub(super) static KEYS: [Key; 50] = [
    key("mode", Kind::Choice(&["development", "production"])),
    key("log.format", Kind::Choice(&["auto", "json", "text"])),
    key("http.address", Kind::Address),
    key("http.public_url", Kind::Text(empty_or_http_url)),
    key("http.cors_origins", Kind::Texts(origin)),
    key("http.trusted_proxy_hops", Kind::Number(0, 32)),
    key(
        "http.auth_per_address_per_minute",
        Kind::Number(0, RATE_MAX),
    ),
    key(
        "http.requests_per_player_per_minute",
        Kind::Number(0, RATE_MAX),
    ),
    key(
        "http.sessions_per_player_per_minute",
        Kind::Number(0, RATE_MAX),
    ),
    key(
        "http.forwarded_header",
        Kind::Choice(&["x-forwarded-for", "forwarded"]),
    ),
    key("http.metrics", Kind::Flag),
    // A day.
    key("http.idle_timeout_s", Kind::Number(1, 86_400)),
    key("http.connections_per_address_max", Kind::Number(0, 100_000)),
    key(
        "http.open_sessions_per_player_max",
        Kind::Number(0, RATE_MAX),
    ),
    key(
        "http.open_sessions_per_address_max",
        Kind::Number(0, RATE_MAX),
    ),
    key("http.known_games", Kind::Texts(game)),
    key("web.console", Kind::Flag),
    key("control.address", Kind::Address),
    key("control.secret", Kind::Secret(control_secret)),
    key("database.url", Kind::Secret(database_url)),
    key("database.connections_max", Kind::Number(1, 1_000)),
    key("redis.url", Kind::Secret(redis_url)),
    key("keys.access_token", Kind::Secret(signing_key)),
    key("keys.access_token_previous", Kind::Secrets(signing_key)),
    key("keys.ticket", Kind::Secret(signing_key)),
    key("keys.refresh", Kind::Secret(signing_key)),
    key("keys.cursor", Kind::Secret(signing_key)),
    key("game.connections_per_address_max", Kind::Number(0, 100_000)),
    key("game.address", Kind::Address),
    key("game.public_host", Kind::Text(public_host)),
    key("game.public_port", Kind::Number(1, 65_535)),
    key("game.public_websocket_port", Kind::Number(1, 65_535)),
    key("game.public_websocket_path", Kind::Text(path_prefix)),
    key("game.websocket_tls", Kind::Choice(&["plain", "by_proxy"])),
    key("game.origins", Kind::Texts(origin)),
    key("game.certificate_chain", Kind::Text(not_empty)),
    key("game.certificate_key", Kind::Text(not_empty)),
    key("instance.registry_url", Kind::Text(http_url)),
    key("instance.control_address", Kind::Address),
    key("instance.control_url", Kind::Text(http_url)),
    key("instance.region", Kind::Text(region)),
    key("instance.workers", Kind::Number(0, WORKERS_MAX)),
    key("instance.matches_max", Kind::Number(1, MATCHES_MAX)),
    key("instance.players_max", Kind::Number(1, 100_000)),
    key("instance.budget_max_percent", Kind::Number(0, 100)),
    key("instance.resume_window_s", Kind::Number(0, 3_600)),
    key("instance.replays_folder", Kind::Text(not_empty)),
    // 16 TiB.
    key("instance.replays_max_mib", Kind::Number(0, 16_777_216)),
    // A week.
    key("instance.drain_s", Kind::Number(0, 604_800)),
    key("metrics.address", Kind::Address),
];

impl Key {
    /// The setting of this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Its name, its least and its greatest number.
    #[cfg(test)]
    pub(super) fn range(&self) -> Option<(&'static str, i64, i64)> {
        if let Kind::Number(min, max) = self.kind {
            Some((self.name, min, max))
        } else {
            None
        }
    }

    /// Whether its value must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret(_) | Kind::Secrets(_))
    }

    /// The value for the settings, or what it must be.
    pub(super) fn read(&self, value: &RawValue) -> Result<Value, String> {
        match self.kind {
            Kind::Choice(words) => value
                .text()
                .filter(|text| words.contains(text))
                .map(Value::from)
                .ok_or_else(|| one_of(words)),
            Kind::Number(min, max) => value
                .number()
                .filter(|number| (min..=max).contains(number))
                .map(Value::from)
                .ok_or_else(|| format!("it must be a whole number from {min} to {max}")),
            Kind::Flag => value
                .flag()
                .map(Value::from)
                .ok_or_else(|| "it must be true or false".to_owned()),
            Kind::Address => value
                .text()
                .filter(|text| text.parse::<SocketAddr>().is_ok())
                .map(Value::from)
                .ok_or_else(|| ADDRESS.to_owned()),
            Kind::Text(check) | Kind::Secret(check) => checked(value, check),
            Kind::Texts(check) | Kind::Secrets(check) => {
                let items = value.list().ok_or_else(|| LIST.to_owned())?;
                let items: Result<Vec<_>, _> =
                    items.iter().map(|item| checked(item, check)).collect();
                items.map(Value::Array)
            }
        }
    }
}

const ADDRESS: &str = "it must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080";
const LIST: &str = "it must be a list of texts, such as [\"a\", \"b\"]";
const QUOTES: &str = "it must be text: put it in quotes";

fn checked(value: &RawValue, check: Check) -> Result<Value, String> {
    let text = value.text().ok_or_else(|| QUOTES.to_owned())?;
    check(text).map(|()| Value::from(text))
}

fn one_of(words: &[&str]) -> String {
    format!("it must be {}", words.join(" or "))
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it must not be empty; leave it out instead".to_owned());
    }
    Ok(())
}

fn http_url(text: &str) -> Result<(), String> {
    let is_url = Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_url && !text.contains(char::is_whitespace) {
        return Ok(());
    }
    Err("it must be a URL that begins with http:// or https://".to_owned())
}

fn empty_or_http_url(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    http_url(text)
}

fn origin(text: &str) -> Result<(), String> {
    Origins::of(&[text.to_owned()])
        .map(drop)
        .map_err(|error| error.to_string())
}

fn game(text: &str) -> Result<(), String> {
    GameId::new(text.to_owned())
        .map(drop)
        .map_err(|error| error.to_string())
}

fn region(text: &str) -> Result<(), String> {
    const LENGTH_MAX: usize = 64;
    if text.is_empty() || text.len() > LENGTH_MAX || text.chars().any(char::is_control) {
        return Err(format!("it must be a text of 1 to {LENGTH_MAX} bytes"));
    }
    Ok(())
}

fn public_host(text: &str) -> Result<(), String> {
    PublicHost::new(text).map(drop).map_err(|error| {
        format!(
            "{error}; ports and path are game.public_port, game.public_websocket_port and \
             game.public_websocket_path"
        )
    })
}

fn path_prefix(text: &str) -> Result<(), String> {
    PathPrefix::new(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn control_secret(text: &str) -> Result<(), String> {
    ControlSecret::new(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn signing_key(text: &str) -> Result<(), String> {
    SecretKey::from_base64url(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn database_url(text: &str) -> Result<(), String> {
    begins_with(text, &["postgres://", "postgresql://", "sqlite:"])
}

fn redis_url(text: &str) -> Result<(), String> {
    begins_with(text, &["redis://", "rediss://"])
}

fn begins_with(text: &str, starts: &[&str]) -> Result<(), String> {
    if starts.iter().any(|start| text.starts_with(start)) {
        return Ok(());
    }
    Err(format!("it must begin with {}", starts.join(" or ")))
}
