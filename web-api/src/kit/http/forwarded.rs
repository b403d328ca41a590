//! The client's address behind proxies: reads what trusted proxies wrote, in every form that they
//! write it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::ForwardedHeader;

/// Why the address that a trusted proxy saw is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Fewer entries than proxies.
    TooFewEntries,
    /// The entry is no address.
    NoAddress,
}

impl Unread {
    /// The reason as the log says it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::TooFewEntries => "it has fewer entries than http.trusted_proxy_hops",
            Self::NoAddress => "its entry is not an address",
        }
    }
}

/// What the outermost of `hops` trusted proxies saw; `hops` is at least 1. Each proxy appends the
/// address it saw. What stands further left was written by the client.
pub(crate) fn client(
    headers: &HeaderMap,
    header: ForwardedHeader,
    hops: usize,
) -> Result<IpAddr, Unread> {
    let texts: Vec<&str> = headers
        .get_all(header.as_str())
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    let entries: Vec<&str> = texts.iter().flat_map(|text| split(text, ',')).collect();
    let index = entries.len().checked_sub(hops);
    let entry = entries[index.ok_or(Unread::TooFewEntries)?];
    let node = match header {
        ForwardedHeader::XForwardedFor => Some(entry),
        ForwardedHeader::Forwarded => node(entry),
    };
    node.and_then(address).ok_or(Unread::NoAddress)
}

/// The `for` of an entry of `Forwarded` (RFC 7239).
fn node(entry: &str) -> Option<&str> {
    split(entry, ';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })
}

/// Splits where no quotes are open.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c: char| {
        is_quoted ^= c == '"';
        c == at && !is_quoted
    })
}

/// Reads `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`,
/// each with quotes or without, and with the zone of a link-local address or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if let Some(text) = text.strip_prefix('[') {
        let (inside, port) = text.split_once(']')?;
        let has_port = port.strip_prefix(':').is_some_and(is_port);
        return (port.is_empty() || has_port)
            .then(|| ipv6(inside))
            .flatten();
    }
    let whole = text.parse().ok().or_else(|| ipv6(text));
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    // Some proxies write an obfuscated port (RFC 7239 §6.3), which no parser of addresses takes.
    let with_odd_port = || {
        let (host, port) = text.split_once(':')?;
        is_port(port).then(|| host.parse().ok()).flatten()
    };
    whole.or_else(with_port).or_else(with_odd_port)
}

fn ipv6(text: &str) -> Option<IpAddr> {
    let (text, _zone) = text.split_once('%').unwrap_or((text, ""));
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn is_port(text: &str) -> bool {
    let obfuscated = text.starts_with('_');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    obfuscated || digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: ForwardedHeader, hops: usize, lines: &[&str]) -> Result<String, Unread> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.as_str(), line.parse().unwrap());
        }
        client(&headers, header, hops).map(|address| address.to_string())
    }

    #[test]
    fn every_form_that_proxies_write_is_read() {
        for (text, address) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:52014", "203.0.113.7"),
            ("203.0.113.7:_secret", "203.0.113.7"),
            ("\"203.0.113.7:52014\"", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:52014", "2001:db8::7"),
            ("\"[2001:db8::7]:52014\"", "2001:db8::7"),
            ("fe80::7%eth0", "fe80::7"),
            ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        ] {
            let entries = format!("10.9.9.9, {text} ");
            assert_eq!(
                read(ForwardedHeader::XForwardedFor, 1, &[&entries]),
                Ok(address.to_owned()),
                "{text}"
            );
            let quoted = text.trim_matches('"');
            let entries = format!("for=10.9.9.9, proto=https;For=\"{quoted}\";by=\"[::1]\"");
            assert_eq!(
                read(ForwardedHeader::Forwarded, 1, &[&entries]),
                Ok(address.to_owned()),
                "{entries}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_told_from_what_is_not_there() {
        for text in [
            "unknown",
            "_hidden",
            "",
            "203.0.113.7:",
            "[2001:db8::7",
            "[::1]x",
        ] {
            assert_eq!(
                read(ForwardedHeader::XForwardedFor, 1, &[text]),
                Err(Unread::NoAddress),
                "{text}"
            );
        }
        assert_eq!(
            read(ForwardedHeader::XForwardedFor, 2, &["203.0.113.7"]),
            Err(Unread::TooFewEntries)
        );
        assert_eq!(
            read(ForwardedHeader::Forwarded, 1, &["proto=https"]),
            Err(Unread::NoAddress)
        );
    }

    #[test]
    fn lines_of_the_header_are_read_as_one_list() {
        let lines = ["10.0.0.1, 203.0.113.1:5", "198.51.100.2"];
        assert_eq!(
            read(ForwardedHeader::XForwardedFor, 2, &lines),
            Ok("203.0.113.1".to_owned())
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(text in "[ -~]{0,60}", hops in 1_usize..4) {
            let _ = read(ForwardedHeader::Forwarded, hops, &[&text]);
            let _ = read(ForwardedHeader::XForwardedFor, hops, &[&text]);
        }
    }
}
