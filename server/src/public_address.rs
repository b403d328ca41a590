//! Where players reach the game port, when that is not where it listens: host, ports and path,
//! each checked before anything is opened. It knows no socket and resolves no name.

use std::fmt;
use std::net::IpAddr;

use url::Host;

/// Longest path before the WebSocket port, in bytes.
const PATH_LENGTH_MAX: usize = 128;

/// A host name or an IP address, without scheme, port or path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHost(String);

/// A text that no player can reach a server by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicHost {
    /// Neither a name nor an address, or more than that.
    #[error(
        "it must be a host name or an IP address alone, without scheme, port, path or brackets"
    )]
    NotAHost,
    /// The address of "every interface of this machine", which nobody else can connect to.
    #[error("it must be an address that others can connect to")]
    Unspecified,
}

impl PublicHost {
    /// Reads a host; names in other scripts become what is asked for in the DNS.
    ///
    /// # Errors
    ///
    /// [`InvalidPublicHost`].
    pub fn new(text: &str) -> Result<Self, InvalidPublicHost> {
        if let Ok(address) = text.parse::<IpAddr>() {
            if address.is_unspecified() {
                return Err(InvalidPublicHost::Unspecified);
            }
            return Ok(Self(address.to_string()));
        }
        match Host::parse(text) {
            Ok(Host::Domain(name)) if is_name(&name) => Ok(Self(name)),
            // Numbers that browsers take for an address: nobody means that.
            Ok(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => {
                Err(InvalidPublicHost::NotAHost)
            }
        }
    }

    /// The name or address, as certificates have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.0.parse::<IpAddr>();
        let is_local_name = || self.0 == "localhost" || self.0.ends_with(".localhost");
        address.map_or_else(|_| is_local_name(), |address| address.is_loopback())
    }
}

/// As it stands in a URL.
impl fmt::Display for PublicHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, "[{}]", self.0)
        } else {
            f.write_str(&self.0)
        }
    }
}

/// The limits of the DNS.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// What stands before a path of the WebSocket port's URL: empty, or `/` and more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathPrefix(String);

/// A text that is no path of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be empty or a path such as /eu1: a slash first, none at the end, at most \
     {PATH_LENGTH_MAX} letters, digits, slashes and -._~"
)]
pub struct InvalidPathPrefix;

impl PathPrefix {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// [`InvalidPathPrefix`].
    pub fn new(text: &str) -> Result<Self, InvalidPathPrefix> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let is_segment =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(is_plain);
        let is_path = || {
            let rest = text.strip_prefix('/');
            rest.is_some_and(|rest| rest.split('/').all(is_segment))
        };
        if text.len() > PATH_LENGTH_MAX || !(text.is_empty() || is_path()) {
            return Err(InvalidPathPrefix);
        }
        Ok(Self(text.to_owned()))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where players reach the game port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// Host of every offer.
    pub host: PublicHost,
    /// Port of QUIC and WebTransport; the one bound when absent.
    pub port: Option<u16>,
    /// Port of the WebSocket end, when a proxy before it has another one; [`Self::port`] when
    /// absent.
    pub websocket_port: Option<u16>,
    /// Path that a proxy before the WebSocket end knows this instance by.
    pub websocket_path: PathPrefix,
}

impl PublicAddress {
    /// This host, at the port that is bound.
    #[must_use]
    pub fn of(host: PublicHost) -> Self {
        Self {
            host,
            port: None,
            websocket_port: None,
            websocket_path: PathPrefix::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_alone() {
        for (text, in_url) in [
            ("play.example.com", "play.example.com"),
            ("localhost", "localhost"),
            ("eu1", "eu1"),
            ("PLAY.example.com", "play.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("203.0.113.7", "203.0.113.7"),
            ("2001:db8::7", "[2001:db8::7]"),
        ] {
            let host = PublicHost::new(text).unwrap();
            assert_eq!(host.to_string(), in_url);
        }
        for text in [
            "",
            " ",
            "play.example.com:7777",
            "127.0.0.1:7777",
            "[::1]",
            "[::1]:7777",
            "http://play.example.com",
            "play.example.com/eu",
            "user@play.example.com",
            "play example.com",
            "play..example.com",
            "-play.example.com",
            "play.example.com.",
            "127.1",
            "0x7f.1",
            "0.0.0.0",
            "::",
        ] {
            assert!(PublicHost::new(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn what_only_this_machine_reaches_is_known() {
        let is_loopback = |text| PublicHost::new(text).unwrap().is_loopback();
        for text in ["127.0.0.1", "127.8.9.1", "::1", "localhost", "a.localhost"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in ["203.0.113.7", "10.0.0.7", "localhost.example.com"] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn a_path_is_empty_or_begins_with_a_slash() {
        for text in ["", "/eu1", "/games/eu-1", "/a.b_c~d"] {
            assert_eq!(PathPrefix::new(text).unwrap().as_str(), text);
        }
        for text in [
            "eu1", "/", "/eu1/", "//eu1", "/eu1?a", "/eu1#a", "/a b", "/a/../b", "/%41", "/ü",
        ] {
            assert!(PathPrefix::new(text).is_err(), "{text:?} was accepted");
        }
        assert!(PathPrefix::new(&format!("/{}", "a".repeat(PATH_LENGTH_MAX))).is_err());
    }
}
