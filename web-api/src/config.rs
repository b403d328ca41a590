//! Every setting and every limit of the service, with its unit and default.
//!
//! It does not know where settings come from: the binary reads files and the environment, and
//! decides what production mode demands beyond [`WebApiConfig::check`].

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gameserver_contract::entropy::{Entropy, random_bytes};
use gameserver_contract::ids::GameId;
use gameserver_control::secret::ControlSecret;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use tokio::sync::watch;

/// Life of an access token.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);
/// How far the clocks of two services that read our tokens may differ.
pub const ACCESS_TOKEN_LEEWAY: Duration = Duration::from_secs(30);
/// Longest access token that is read at all, in bytes.
pub const ACCESS_TOKEN_LENGTH_MAX: usize = 2_048;
/// How long the end of a login is remembered: longer than any access token of it is accepted, also
/// one that was being issued at that moment.
pub const LOGIN_END_REMEMBERED: Duration = Duration::from_mins(17);
/// How long it is remembered that a login has not ended, before the database is asked again. A
/// logout does not wait for it, unless the cache is lost at that very moment.
pub const LOGIN_LIFE_REMEMBERED: Duration = Duration::from_mins(1);
/// Life of a refresh token that is not used.
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How long a spent refresh token still returns the same successor, for clients that lost the
/// answer.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);
/// How long a seat is held for a player who has not connected yet; also the life of the ticket.
pub const SEAT_HOLD: Duration = Duration::from_secs(10);
/// An instance counts as lost when this long passes without a heartbeat.
pub const INSTANCE_LEASE: Duration = Duration::from_secs(3);
/// How long a lease may be missing before the sessions fail. It covers a restart of the service
/// or of the cache, after which every instance registers again.
pub const INSTANCE_LOST_GRACE: Duration = Duration::from_secs(3);
/// Deadline of every call to an instance.
pub const INSTANCE_CALL_DEADLINE: Duration = Duration::from_secs(2);
/// How long the request that opens a session has to start its match before others do: longer than a
/// call to an instance may take. Also the time between two tries.
pub const MATCH_START_DUE: Duration = Duration::from_secs(3);
/// How often others try to start a match before its session fails.
pub const MATCH_START_ATTEMPTS_MAX: u32 = 5;
/// Matches whose start was left over that one replica starts at the same time; more of them wait.
pub const MATCH_STARTS_AT_ONCE_MAX: u16 = 16;
/// Instances tried for one new session before the client is told to come back.
pub const INSTANCES_TRIED_MAX: usize = 2;
/// Most instances in the registry.
pub const INSTANCES_MAX: usize = 1_000;
/// Share of the tick budget above which an instance gets no new match.
pub const TICK_BUDGET_USED_MAX: f32 = 0.9;
/// How old the list of hosted games may be.
pub const GAMES_REMEMBERED: Duration = Duration::from_secs(5);
/// How long the answer to a request with an `Idempotency-Key` is remembered.
pub const ANSWER_REMEMBERED: Duration = Duration::from_hours(24);
/// Longest `Idempotency-Key` and `X-Request-Id` in bytes.
pub const HEADER_TEXT_LENGTH_MAX: usize = 64;
/// Entries in a page when the client does not say.
pub const PAGE_DEFAULT: u16 = 20;
/// Most entries in a page.
pub const PAGE_MAX: u16 = 100;
/// Wrong join codes that a player may try per minute and session.
pub const JOIN_CODE_TRIES_PER_MINUTE: u32 = 10;
/// How long somebody who had the code of a private session finds it without a seat.
pub const ADMISSION_REMEMBERED: Duration = Duration::from_hours(24);
/// Encoded results larger than this are refused: 2 MiB, some 1,000 players with 32 numbers each.
pub const RESULT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most players in one result: everybody who ever held a seat.
pub const RESULT_PLAYERS_MAX: usize = 10_000;
/// Most matches in a heartbeat.
pub const REPORTED_MATCHES_MAX: usize = 4_096;
/// Streams of events at the same time in one replica; one more is refused.
pub const LISTENERS_MAX: usize = 1_000;
/// Streams of events at the same time of one player.
pub const LISTENERS_PER_PLAYER_MAX: usize = 8;
/// Longest life of a stream of events: that of the access token it was opened with.
pub const LISTENER_LIFETIME: Duration = ACCESS_TOKEN_LIFETIME;
/// Changes that wait for a slow listener; one who falls further behind must begin anew.
pub const CHANGES_QUEUED_MAX: usize = 256;
/// Sessions in the first event of a list; older ones follow when they change.
pub const SNAPSHOT_SESSIONS_MAX: u16 = 1_000;
/// Sessions that one listener is told changes of; one more and it must begin anew.
pub const SESSIONS_FOLLOWED_MAX: usize = 10_000;
/// Silence after which a stream of events sends a comment.
pub const EVENTS_HEARTBEAT: Duration = Duration::from_secs(15);

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct WebApiConfig {
    /// Where REST is served. Port 0 takes a free one. Default `127.0.0.1:8080`.
    pub http_address: SocketAddr,
    /// Where gRPC is served to instances. Port 0 takes a free one. Default `127.0.0.1:8081`.
    pub grpc_address: SocketAddr,
    /// URL that clients reach REST at; the issuer of access tokens. Its path, if it has one, is
    /// what a proxy takes off the path of every request: `Location` and the OpenAPI document have
    /// it. Default `http://127.0.0.1:8080`.
    pub public_url: String,
    /// Audience of access tokens. Default `gameserver`.
    pub audience: String,
    /// Signing keys. No default: generated per start in development, configured in production.
    pub keys: Keys,
    /// What instances and this service know each other by; at least 16 visible ASCII characters.
    pub control_secret: SecretString,
    /// Origins whose pages may call the API, for example `https://play.example.com`. Default:
    /// none.
    pub cors_origins: Vec<String>,
    /// Proxies in front that each add the address they saw to [`Self::forwarded_header`]. Default
    /// 0: the header is ignored and the client's address is the socket's.
    pub trusted_proxy_hops: usize,
    /// The header that those proxies write. The other one is ignored: a client could have sent it.
    /// Default `X-Forwarded-For`.
    pub forwarded_header: ForwardedHeader,
    /// Whether the console is served at `/`, and the JavaScript SDK at `/sdk/`. Default: yes.
    pub console: bool,
    /// Games that are known here before any instance has registered them. Default: none.
    pub known_games: Vec<GameId>,
    /// How often clients may call.
    pub rate_limits: RateLimits,
    /// How many sessions may be open.
    pub open_sessions: OpenSessionLimits,
    /// Sizes and deadlines of the HTTP server.
    pub limits: Limits,
    /// While this is false, `/readyz` says no: for a process that also hosts the matches. Default:
    /// none.
    pub is_playable: Option<watch::Receiver<bool>>,
}

impl WebApiConfig {
    /// Settings for development on this machine with the given keys and control secret.
    #[must_use]
    pub fn new(keys: Keys, control_secret: SecretString) -> Self {
        Self {
            http_address: (Ipv4Addr::LOCALHOST, 8080).into(),
            grpc_address: (Ipv4Addr::LOCALHOST, 8081).into(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            audience: "gameserver".to_owned(),
            keys,
            control_secret,
            cors_origins: Vec::new(),
            trusted_proxy_hops: 0,
            forwarded_header: ForwardedHeader::default(),
            console: true,
            known_games: Vec::new(),
            rate_limits: RateLimits::default(),
            open_sessions: OpenSessionLimits::default(),
            limits: Limits::default(),
            is_playable: None,
        }
    }

    /// Checks what can be told without opening anything.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        ControlSecret::new(self.control_secret.expose_secret())
            .map_err(ConfigError::ControlSecret)?;
        self.keys.check()?;
        for origin in &self.cors_origins {
            if !is_origin(origin) {
                return Err(ConfigError::CorsOrigin(origin.clone()));
            }
        }
        Ok(())
    }
}

/// A header that proxies write the client's address to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, which nearly all proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// The header's name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'/' && b != b'*')
    })
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The control secret is too short or has characters that a header cannot carry.
    #[error("use the control secret")]
    ControlSecret(#[source] gameserver_control::secret::InvalidSecret),
    /// A key is one byte repeated, which nobody drew at random.
    #[error("use the {0} key: it is not random")]
    WeakKey(&'static str),
    /// Two keys are the same: who learns one would have the other.
    #[error("use the {0} key for the {1} key as well: each purpose needs its own")]
    SharedKey(&'static str, &'static str),
    /// An origin is not `http(s)://host[:port]`.
    #[error("allow the origin {0:?}: it must be http(s)://host[:port]")]
    CorsOrigin(String),
}

/// 32 secret bytes.
pub struct SecretKey(SecretBox<[u8; 32]>);

impl Clone for SecretKey {
    fn clone(&self) -> Self {
        Self::from_bytes(*self.bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key must be 32 bytes in base64url without padding")]
pub struct InvalidKey;

impl SecretKey {
    /// Takes the bytes as they are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// Draws a key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::from_bytes(random_bytes(entropy))
    }

    /// Reads the text form of the configuration: base64url without padding.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] when it is not 32 bytes of base64url.
    pub fn from_base64url(text: &str) -> Result<Self, InvalidKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidKey)?;
        Ok(Self::from_bytes(bytes.try_into().map_err(|_| InvalidKey)?))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }
}

/// The service's signing keys, one per purpose.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Ed25519 seed that signs access tokens.
    pub access_token: SecretKey,
    /// Seeds that signed access tokens before; still accepted and published. Default: none.
    pub access_token_previous: Vec<SecretKey>,
    /// Ed25519 seed that signs join tickets.
    pub ticket: SecretKey,
    /// HMAC key that refresh tokens are made with.
    pub refresh: SecretKey,
    /// HMAC key that cursors are authenticated with.
    pub cursor: SecretKey,
}

impl Keys {
    /// Draws all keys: every login and every cursor ends with the process.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self {
            access_token: SecretKey::generate(entropy),
            access_token_previous: Vec::new(),
            ticket: SecretKey::generate(entropy),
            refresh: SecretKey::generate(entropy),
            cursor: SecretKey::generate(entropy),
        }
    }

    fn named(&self) -> [(&'static str, &SecretKey); 4] {
        [
            ("access token", &self.access_token),
            ("ticket", &self.ticket),
            ("refresh", &self.refresh),
            ("cursor", &self.cursor),
        ]
    }

    fn check(&self) -> Result<(), ConfigError> {
        let named = self.named();
        for (index, (name, key)) in named.iter().enumerate() {
            if key.bytes().iter().all(|byte| *byte == key.bytes()[0]) {
                return Err(ConfigError::WeakKey(name));
            }
            let twin = named[..index]
                .iter()
                .find(|(_, other)| other.bytes() == key.bytes());
            if let Some((other, _)) = twin {
                return Err(ConfigError::SharedKey(other, name));
            }
        }
        Ok(())
    }
}

/// How often clients may call, per minute. `None` sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Calls of `/auth/*` per client address (IPv6: per /64). Default 20.
    pub auth_per_address: Option<u32>,
    /// Guest logins per device id. Default 5.
    pub logins_per_device: Option<u32>,
    /// Calls of everything else per player. Default 600.
    pub requests_per_player: Option<u32>,
    /// Sessions opened per player: each takes a place on an instance. Default 30.
    pub sessions_per_player: Option<u32>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            auth_per_address: Some(20),
            logins_per_device: Some(5),
            requests_per_player: Some(600),
            sessions_per_player: Some(30),
        }
    }
}

impl RateLimits {
    /// No limit at all, for load tests of one's own service.
    pub const OFF: Self = Self {
        auth_per_address: None,
        logins_per_device: None,
        requests_per_player: None,
        sessions_per_player: None,
    };
}

/// How many sessions may be open at the same time: each takes a place on an instance. `None` sets
/// no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSessionLimits {
    /// Of one host. Default 8.
    pub per_player: Option<u32>,
    /// Opened from one client address (IPv6: from one /64). Default 32.
    pub per_address: Option<u32>,
}

impl Default for OpenSessionLimits {
    fn default() -> Self {
        Self {
            per_player: Some(8),
            per_address: Some(32),
        }
    }
}

impl OpenSessionLimits {
    /// No limit at all, for load tests of one's own service.
    pub const OFF: Self = Self {
        per_player: None,
        per_address: None,
    };
}

/// Sizes and deadlines of the HTTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; more wait in the kernel's queue. Default 10,000.
    pub connections_max: usize,
    /// Largest request body in bytes; a larger one is answered with 413. Default 65,536.
    pub body_bytes_max: usize,
    /// Time for a client to send the whole header of a request. Default 5 s.
    pub header_read_timeout: Duration,
    /// Time for a client to send the whole body of a request. Default 5 s.
    pub body_read_timeout: Duration,
    /// Time for the answer to a request. Default 10 s.
    pub request_deadline: Duration,
    /// Time for a client to take the next 16 KiB of an answer, or any byte when its socket is full;
    /// then its connection is closed. Default 20 s.
    pub write_timeout: Duration,
    /// Time that a connection may be open without a request. Longer than the same time of load
    /// balancers, which would otherwise send a request to a connection that is being closed.
    /// Default 75 s; [`Self::header_read_timeout`] while more than three quarters of all
    /// connections are taken.
    pub idle_timeout: Duration,
    /// Requests at the same time on one HTTP/2 connection. Default 16.
    pub http2_streams_max: u32,
    /// Bytes of answers that wait for one client; its further requests wait meanwhile. Default
    /// 1 MiB.
    pub unsent_bytes_per_connection_max: usize,
    /// Bytes of answers that wait for all clients; beyond it the connections that hold the most for
    /// the longest are closed. Default 64 MiB.
    pub unsent_bytes_max: usize,
    /// Open connections of one client address (IPv6: of a /64); a further one is closed. `None`
    /// sets no limit. Default 256. Not for a port behind proxies.
    pub connections_per_address_max: Option<usize>,
    /// Time for open requests to finish at shutdown. Default 10 s.
    pub shutdown_grace: Duration,
}

impl Limits {
    /// Limits of a port that everybody reaches.
    pub const DEFAULT: Self = Self {
        connections_max: 10_000,
        body_bytes_max: 64 * 1024,
        header_read_timeout: Duration::from_secs(5),
        body_read_timeout: Duration::from_secs(5),
        request_deadline: Duration::from_secs(10),
        write_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(75),
        http2_streams_max: 16,
        unsent_bytes_per_connection_max: 1024 * 1024,
        unsent_bytes_max: 64 * 1024 * 1024,
        connections_per_address_max: Some(256),
        shutdown_grace: Duration::from_secs(10),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use gameserver_contract::entropy::SeededEntropy;

    use super::*;

    fn config() -> WebApiConfig {
        let keys = Keys::generate(&*SeededEntropy::new(1));
        WebApiConfig::new(keys, "a-control-secret-of-32-characters".into())
    }

    #[test]
    fn generated_keys_pass_the_check() {
        assert_eq!(config().check(), Ok(()));
    }

    #[test]
    fn a_short_control_secret_is_refused() {
        let config = WebApiConfig {
            control_secret: "short".into(),
            ..config()
        };
        assert!(matches!(config.check(), Err(ConfigError::ControlSecret(_))));
    }

    #[test]
    fn one_key_for_two_purposes_is_refused() {
        let mut config = config();
        config.keys.cursor = config.keys.ticket.clone();
        assert_eq!(
            config.check(),
            Err(ConfigError::SharedKey("ticket", "cursor"))
        );
    }

    #[test]
    fn a_key_of_one_repeated_byte_is_refused() {
        let mut config = config();
        config.keys.refresh = SecretKey::from_bytes([0; 32]);
        assert_eq!(config.check(), Err(ConfigError::WeakKey("refresh")));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(SecretKey::from_base64url("c2hvcnQ").is_err());
    }

    #[test]
    fn only_plain_origins_are_allowed() {
        for (origin, good) in [
            ("https://play.example.com", true),
            ("http://localhost:5173", true),
            ("*", false),
            ("https://a.example/path", false),
            ("null", false),
        ] {
            let config = WebApiConfig {
                cors_origins: vec![origin.to_owned()],
                ..config()
            };
            assert_eq!(config.check().is_ok(), good, "{origin}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = WebApiConfig {
            control_secret: "planted-canary-secret".into(),
            ..config()
        };
        assert!(!format!("{config:?}").contains("canary"));
        assert!(format!("{:?}", config.keys).contains("SecretKey(..)"));
    }
}
