//! The host of a request: a name or an address, and perhaps a port (RFC 9110, 7.2).
//!
//! Stricter than RFC 3986: no user, no percent escapes, no sub-delimiters, no empty port. Hosts
//! that are served look like that, and everything else has been used to fool somebody.

use std::net::Ipv6Addr;
use std::str;

/// A host that is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// The name or address as it was written; an IPv6 address with its brackets.
    pub name: &'a str,
    /// The port, if there was one.
    pub port: Option<u16>,
}

impl<'a> Host<'a> {
    /// Reads `name`, `name:port`, `1.2.3.4`, `[::1]` or `[::1]:port`.
    ///
    /// Returns nothing for anything else.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (name_len, port) = measure(text)?;
        Some(Self { name: str::from_utf8(&text[..name_len]).ok()?, port })
    }

    /// Returns whether [`Host::parse`] would read `text`; cheaper, since nobody reads the name.
    pub fn is_host(text: &[u8]) -> bool {
        measure(text).is_some()
    }

    /// Returns whether both mean the same place, if a missing port is `default_port`.
    pub fn is_same(self, other: Host<'_>, default_port: u16) -> bool {
        self.name.eq_ignore_ascii_case(other.name)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// Returns the length of the name, which is ASCII, and the port.
fn measure(text: &[u8]) -> Option<(usize, Option<u16>)> {
    let (name, rest) = text.split_at(name_len(text)?);
    match rest {
        [] => Some((name.len(), None)),
        [b':', digits @ ..] => Some((name.len(), Some(port(digits)?))),
        _ => None,
    }
}

/// Returns the length of the name or address at the start of `text`.
fn name_len(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'[') {
        let end = text.iter().take(NAME_MAX).position(|&byte| byte == b']')?;
        // A zone (`%eth0`) means something on this machine only, and does not parse.
        str::from_utf8(&text[1..end]).ok()?.parse::<Ipv6Addr>().ok()?;
        return Some(end + 1);
    }
    let mut before = b'.';
    let mut len = 0;
    for &byte in text {
        match byte {
            b':' => break,
            b'.' if before == b'.' => return None,
            b'.' | b'-' | b'_' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => return None,
        }
        before = byte;
        len += 1;
    }
    (1..=NAME_MAX).contains(&len).then_some(len)
}

fn port(digits: &[u8]) -> Option<u16> {
    let all_digits = (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if !all_digits {
        return None;
    }
    let value = digits.iter().fold(0_u32, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    u16::try_from(value).ok()
}

/// The longest name that DNS can hold, as text.
const NAME_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_served_are_read() {
        let check = |text: &str, name: &str, port: Option<u16>| {
            assert_eq!(Host::parse(text.as_bytes()), Some(Host { name, port }), "{text}");
        };
        check("example.com", "example.com", None);
        check("example.com.", "example.com.", None);
        check("A_b-c.1:8080", "A_b-c.1", Some(8080));
        check("127.0.0.1:65535", "127.0.0.1", Some(65535));
        check("[::1]", "[::1]", None);
        check("[2001:db8::1]:80", "[2001:db8::1]", Some(80));
    }

    #[test]
    fn anything_else_is_not_a_host() {
        let wrong = [
            "",
            ":80",
            ".",
            "..",
            ".a",
            "a..b",
            "a:",
            "a:x",
            "a:+80",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "a\\b",
            "a%41",
            "[::1",
            "[::1]x",
            "[]",
            "[::g]",
            "[fe80::1%eth0]",
            "[1.2.3.4]",
            "::1",
            "\u{e9}",
            "a\0",
        ];
        for text in wrong {
            assert_eq!(Host::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Host::parse("a".repeat(254).as_bytes()), None);
    }

    #[test]
    fn a_missing_port_is_the_default_one() {
        let same = |a: &str, b: &str| {
            let (a, b) = (Host::parse(a.as_bytes()), Host::parse(b.as_bytes()));
            a.expect("a host").is_same(b.expect("a host"), 80)
        };
        assert!(same("a.example", "A.Example:80"));
        assert!(!same("a.example", "a.example:81"));
        assert!(!same("a.example", "b.example"));
    }
}
