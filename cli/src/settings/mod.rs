//! Every setting of the binary with its unit, default and effect. They are read once at the start.
//!
//! Sources, later ones win: the defaults here, `gameserver.toml`, the environment
//! (`GAMESERVER__SECTION__KEY`, also `DATABASE_URL`, `REDIS_URL`, `PORT`), flags.

mod keys;
mod load;
mod raw_value;
mod secrets;
mod source;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use keys::MATCHES_MAX;
pub(crate) use load::{Loaded, SettingsError};
pub(crate) use secrets::Secrets;

/// All settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// `development` makes up missing secrets, `production` refuses to start without them.
    pub(crate) mode: RunMode,
    pub(crate) log: LogSettings,
    pub(crate) http: HttpSettings,
    pub(crate) web: WebSettings,
    pub(crate) control: ControlSettings,
    pub(crate) database: DatabaseSettings,
    pub(crate) redis: RedisSettings,
    pub(crate) keys: KeySettings,
    pub(crate) game: GameSettings,
    pub(crate) instance: InstanceSettings,
    pub(crate) metrics: MetricsSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunMode {
    #[default]
    Development,
    Production,
}

/// Logs go to stdout; `RUST_LOG` chooses how much.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// `auto` writes text to a terminal and JSON elsewhere.
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Auto,
    Json,
    Text,
}

/// The REST API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpSettings {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// URL that clients reach it by; the issuer of access tokens. Made from the address when
    /// empty.
    pub(crate) public_url: String,
    /// Origins whose pages may call it; comma-separated in the environment.
    pub(crate) cors_origins: Vec<String>,
    /// Proxies in front that each add to `X-Forwarded-For`; 0 ignores the header.
    pub(crate) trusted_proxy_hops: usize,
    /// The header that they write: `x-forwarded-for` or `forwarded`.
    pub(crate) forwarded_header: ForwardedHeaderSetting,
    /// Whether `/metrics` is served on this port too; in development only when absent.
    pub(crate) metrics: Option<bool>,
    /// Seconds that a connection may be open without a request.
    pub(crate) idle_timeout_s: u64,
    /// Open connections of one client address; 0 means no limit. Behind trusted proxies there is
    /// none.
    pub(crate) connections_per_address_max: usize,
    /// Calls of `/auth/*` a minute and client address; 0 means no limit.
    pub(crate) auth_per_address_per_minute: u32,
    /// Other calls a minute and player; 0 means no limit.
    pub(crate) requests_per_player_per_minute: u32,
    /// Sessions that a player may open a minute; 0 means no limit.
    pub(crate) sessions_per_player_per_minute: u32,
    /// Sessions that a player may have open; 0 means no limit.
    pub(crate) open_sessions_per_player_max: u32,
    /// Sessions that may be open from one client address; 0 means no limit.
    pub(crate) open_sessions_per_address_max: u32,
    /// Games that are known before any instance has registered them; comma-separated in the
    /// environment.
    pub(crate) known_games: Vec<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            address: local(8080),
            public_url: String::new(),
            cors_origins: Vec::new(),
            trusted_proxy_hops: 0,
            forwarded_header: ForwardedHeaderSetting::default(),
            metrics: None,
            idle_timeout_s: 75,
            connections_per_address_max: 256,
            auth_per_address_per_minute: 20,
            requests_per_player_per_minute: 600,
            sessions_per_player_per_minute: 30,
            open_sessions_per_player_max: 8,
            open_sessions_per_address_max: 32,
            known_games: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ForwardedHeaderSetting {
    #[default]
    XForwardedFor,
    Forwarded,
}

/// Pages that the REST API serves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebSettings {
    /// Whether the console is served; in development only when absent.
    pub(crate) console: Option<bool>,
}

/// The connection between web-api and instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ControlSettings {
    /// Where web-api listens for instances (gRPC).
    pub(crate) address: SocketAddr,
    /// Shared secret, at least 16 visible ASCII characters. Required in production.
    pub(crate) secret: Option<String>,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            address: local(8081),
            secret: None,
        }
    }
}

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DatabaseSettings {
    /// `postgres://…` or `sqlite:…`; also `DATABASE_URL`.
    pub(crate) url: Option<String>,
    /// Connections at most.
    pub(crate) connections_max: u32,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            connections_max: 16,
        }
    }
}

/// The cache.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RedisSettings {
    /// `redis://…` or `rediss://…`; also `REDIS_URL`. Without it a single web-api keeps what it
    /// would put there in memory.
    pub(crate) url: Option<String>,
}

/// Signing keys: 32 bytes in base64url without padding each. Required in production.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KeySettings {
    /// Signs access tokens.
    pub(crate) access_token: Option<String>,
    /// Signed access tokens before; comma-separated in the environment.
    pub(crate) access_token_previous: Vec<String>,
    /// Signs join tickets.
    pub(crate) ticket: Option<String>,
    /// Makes refresh tokens.
    pub(crate) refresh: Option<String>,
    /// Authenticates list cursors.
    pub(crate) cursor: Option<String>,
}

/// The game port of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GameSettings {
    /// Where it listens: UDP for QUIC, TCP for WebSocket.
    pub(crate) address: SocketAddr,
    /// Host name or address that players reach it by, alone.
    pub(crate) public_host: String,
    /// Port that players reach it by, when it is another one.
    pub(crate) public_port: Option<u16>,
    /// Port of the WebSocket end, when a proxy before it has another one.
    pub(crate) public_websocket_port: Option<u16>,
    /// Path under which a proxy before the WebSocket end forwards to this instance, such as `/eu1`.
    pub(crate) public_websocket_path: String,
    /// Whether a proxy with a certificate serves the WebSocket port.
    pub(crate) websocket_tls: WebSocketTlsSetting,
    /// Origins whose pages may connect, all when there is none; comma-separated in the
    /// environment.
    pub(crate) origins: Vec<String>,
    /// Connections of one address; 0 means no limit. Clients of this machine do not count, and
    /// neither do those that come through a proxy.
    pub(crate) connections_per_address_max: usize,
    /// Certificate chain of the QUIC end (PEM). Self-signed and pinned when absent.
    pub(crate) certificate_chain: Option<PathBuf>,
    /// Its key (PEM).
    pub(crate) certificate_key: Option<PathBuf>,
}

impl Default for GameSettings {
    fn default() -> Self {
        Self {
            address: local(7777),
            public_host: "127.0.0.1".to_owned(),
            public_port: None,
            public_websocket_port: None,
            public_websocket_path: String::new(),
            websocket_tls: WebSocketTlsSetting::Plain,
            origins: Vec::new(),
            connections_per_address_max: 256,
            certificate_chain: None,
            certificate_key: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebSocketTlsSetting {
    #[default]
    Plain,
    ByProxy,
}

/// A process that hosts matches.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InstanceSettings {
    /// URL of web-api's control port.
    pub(crate) registry_url: String,
    /// Where this instance listens for web-api (gRPC).
    pub(crate) control_address: SocketAddr,
    /// URL that web-api reaches it by; made from the address when absent.
    pub(crate) control_url: Option<String>,
    /// Region that its sessions are listed under.
    pub(crate) region: String,
    /// Threads that step matches; 0 means one less than there are cores, at least one.
    pub(crate) workers: usize,
    /// Matches at once.
    pub(crate) matches_max: usize,
    /// Players at once, in all matches.
    pub(crate) players_max: usize,
    /// Percent of the processors, of a worker's time and of a tick's length above which nobody new
    /// is admitted; no new watcher from 0.85 of it on. 0 means no limit.
    pub(crate) budget_max_percent: u16,
    /// Seconds that a seat is held for a player whose connection broke.
    pub(crate) resume_window_s: u64,
    /// Folder for the logs of its matches and for its id, this instance's alone. Without one
    /// matches are not recorded; `dev` has one.
    pub(crate) replays_folder: Option<PathBuf>,
    /// MiB of logs that are kept, not counting running matches; the oldest are deleted first.
    pub(crate) replays_max_mib: u64,
    /// Seconds that running matches get to end when the process is asked to stop.
    pub(crate) drain_s: u64,
}

impl Default for InstanceSettings {
    fn default() -> Self {
        Self {
            registry_url: "http://127.0.0.1:8081".to_owned(),
            control_address: local(8082),
            control_url: None,
            region: "local".to_owned(),
            workers: 0,
            matches_max: 256,
            players_max: 2_000,
            budget_max_percent: 90,
            resume_window_s: 30,
            replays_folder: None,
            replays_max_mib: 1_024,
            drain_s: 600,
        }
    }
}

/// Metrics and health on a port of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MetricsSettings {
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub(crate) address: SocketAddr,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            address: local(9090),
        }
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
