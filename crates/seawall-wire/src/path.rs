//! The one reader of paths: the router and the upstream builder go by its result and nothing else,
//! so that they cannot disagree.
//!
//! Does not know routes or queries. The invariant: the form that routes are matched by has no `.`
//! or `..` segment, no empty segment but a last one, no backslash and no control character but
//! [`ESCAPED_SLASH`]. What is sent on is what came, or pieces of it: escapes stay what they were.

use std::borrow::Cow;
use std::str;

/// Says why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFlaw {
    /// It does not begin with `/`.
    #[error("a path that does not begin with a slash")]
    NoSlash,
    /// `.`, `..`, or one of them before `;`, raw or escaped.
    #[error("a dot segment in the path")]
    DotSegment,
    /// `\` or `%5c`.
    #[error("a backslash in the path")]
    Backslash,
    /// A control character, raw or escaped.
    #[error("a control character in the path")]
    Control,
    /// `?`, `#`, a space, or a byte that is not ASCII, unescaped.
    #[error("a character in the path that must be escaped")]
    Unescaped,
    /// `%` without two hexadecimal digits.
    #[error("a bad escape in the path")]
    BadEscape,
    /// Escaped bytes that are not UTF-8; overlong forms are not.
    #[error("escaped bytes in the path that are not UTF-8")]
    NotUtf8,
}

/// Stands for `%2F` in the form that routes are matched by: a slash inside a segment, which ends
/// none. No other control character gets there, so it cannot be taken for anything else.
pub const ESCAPED_SLASH: char = '\u{1}';

/// Reads a path as it was sent, without its query, and returns the form that routes are matched by:
/// percent-decoded once, with every [`ESCAPED_SLASH`] kept apart from the slashes.
///
/// Doubled slashes are merged. What was encoded twice stays encoded once.
///
/// ```
/// use seawall_wire::path;
///
/// assert_eq!(path::canonical("//api/%6fslo%20s/")?, "/api/oslo s/");
/// assert_eq!(path::canonical("/vhosts/%2F")?, "/vhosts/\u{1}");
/// assert!(path::canonical("/api/..%2fadmin").is_err());
/// # Ok::<(), path::PathFlaw>(())
/// ```
///
/// # Errors
///
/// A path that two readers could read in two ways: see [`PathFlaw`].
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, PathFlaw> {
    if !raw.starts_with('/') {
        return Err(PathFlaw::NoSlash);
    }
    if is_plain(raw.as_bytes()) {
        return Ok(raw.into());
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match escape(&mut bytes)? {
                b'/' => decoded.push(ESCAPED_SLASH as u8),
                byte => {
                    check(byte)?;
                    decoded.push(byte);
                }
            },
            // Two slashes in a row are one, as most upstreams read them.
            b'/' if decoded.last() == Some(&b'/') => {}
            b' ' | b'?' | b'#' | 0x80.. => return Err(PathFlaw::Unescaped),
            _ => {
                check(byte)?;
                decoded.push(byte);
            }
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| PathFlaw::NotUtf8)?;
    // What looks harmless byte by byte: U+0080 to U+009F are control characters too.
    if decoded.chars().any(|char| char.is_control() && char != ESCAPED_SLASH) {
        return Err(PathFlaw::Control);
    }
    // Whoever decodes an escaped slash must find no dot segment beside it.
    if decoded.split(['/', ESCAPED_SLASH]).any(is_dot_segment) {
        return Err(PathFlaw::DotSegment);
    }
    Ok(decoded.into())
}

/// Returns a segment of a path as it was sent, or with `is_rest` all from there to the end; empty
/// if the path has no such segment. Slashes in a row end one segment.
pub(crate) fn segment(raw: &str, index: usize, is_rest: bool) -> &str {
    let mut rest = raw.trim_start_matches('/');
    for _ in 0..index {
        let Some(at) = rest.find('/') else { return "" };
        rest = rest[at..].trim_start_matches('/');
    }
    let end = if is_rest { rest.len() } else { rest.find('/').unwrap_or(rest.len()) };
    &rest[..end]
}

/// Returns whether a decoded segment means a place in the tree rather than a name.
///
/// Parameters after `;` are dropped by some upstreams before they resolve the path.
pub(crate) fn is_dot_segment(segment: &str) -> bool {
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    matches!(name, "." | "..")
}

/// Returns whether `raw` is matched as it is: the usual case, without a copy.
fn is_plain(raw: &[u8]) -> bool {
    let mut before = 0;
    for &byte in raw {
        // A dot after a slash is rare enough to take the long way.
        let is_odd = before == b'/' && matches!(byte, b'/' | b'.');
        if is_odd || !is_raw(byte) {
            return false;
        }
        before = byte;
    }
    true
}

fn escape(bytes: &mut str::Bytes<'_>) -> Result<u8, PathFlaw> {
    let mut digit = || {
        let byte = bytes.next().ok_or(PathFlaw::BadEscape)?;
        char::from(byte).to_digit(16).ok_or(PathFlaw::BadEscape)
    };
    let (high, low) = (digit()?, digit()?);
    Ok((high * 16 + low) as u8)
}

const fn check(byte: u8) -> Result<(), PathFlaw> {
    match byte {
        b'\\' => Err(PathFlaw::Backslash),
        0..=0x1f | 0x7f => Err(PathFlaw::Control),
        _ => Ok(()),
    }
}

/// `unreserved` of RFC 3986, 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986, 3.3, without escapes, or a slash.
pub(crate) const fn is_raw(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'/' | b':' | b'@')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*')
        || matches!(byte, b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_matched_in_one_form() {
        let check = |raw: &str, want: &str| {
            assert_eq!(canonical(raw).as_deref(), Ok(want), "{raw}");
        };
        check("/", "/");
        check("/api/weather/oslo", "/api/weather/oslo");
        check("//evil.example//x//", "/evil.example/x/");
        check("/a%20b", "/a b");
        check("/%41%7e", "/A~");
        check("/%c3%a9", "/\u{e9}");
        check("/%e2%82%ac", "/\u{20ac}");
        check("/a;b=%3b%3F%23", "/a;b=;?#");
        check("/a|b\"<>^`{}", "/a|b\"<>^`{}");
        check("/%252f%252e%252e", "/%2f%2e%2e");
        check("/.well-known/...", "/.well-known/...");
        check("/@evil:80", "/@evil:80");
    }

    #[test]
    fn an_escaped_slash_stays_inside_its_segment() {
        let check = |raw: &str, want: &str| {
            assert_eq!(canonical(raw).as_deref(), Ok(want), "{raw}");
        };
        check("/a%2fb", "/a\u{1}b");
        check("/api/queues/%2F/q", "/api/queues/\u{1}/q");
        check("/%2F%2F", "/\u{1}\u{1}");
        check("/@scope%2fname", "/@scope\u{1}name");
        check("/a%252fb", "/a%2fb");
    }

    #[test]
    fn a6_what_could_be_read_in_two_ways_is_refused() {
        let check = |raw: &str, flaw: PathFlaw| assert_eq!(canonical(raw), Err(flaw), "{raw:?}");
        check("", PathFlaw::NoSlash);
        check("*", PathFlaw::NoSlash);
        check("admin", PathFlaw::NoSlash);
        for dots in ["/..", "/.", "/a/../b", "/a/./b", "/%2e%2e/a", "/.%2E", "/%2e", "//..//"] {
            check(dots, PathFlaw::DotSegment);
        }
        for dots in ["/..;/a", "/..;x=1", "/.;", "/%2e%2e;a", "/..%3b/admin"] {
            check(dots, PathFlaw::DotSegment);
        }
        for dots in ["/..%2f..%2fadmin", "/a%2F..", "/%2f%2e%2e/b", "/a%2f.%2Fb", "/a%2f..;b"] {
            check(dots, PathFlaw::DotSegment);
        }
        for slash in ["/a\\b", "/%5c", "/%5C..", "/a%5cb"] {
            check(slash, PathFlaw::Backslash);
        }
        for control in ["/%00", "/a\0", "/%0d%0aX:1", "/%7f", "/\t", "/%c2%85", "/%01", "/\u{1}"] {
            check(control, PathFlaw::Control);
        }
        for wrong in ["/a b", "/a?b", "/a#b", "/\u{e9}"] {
            check(wrong, PathFlaw::Unescaped);
        }
        for wrong in ["/%", "/%2", "/%zz", "/%u0041", "/a%+1"] {
            check(wrong, PathFlaw::BadEscape);
        }
        for wrong in ["/%c0%ae", "/%c0%af", "/%ff", "/%e2%82", "/%ed%a0%80"] {
            check(wrong, PathFlaw::NotUtf8);
        }
    }

    #[test]
    fn a_segment_is_found_as_it_was_sent() {
        let check = |raw: &str, index: usize, one: &str, rest: &str| {
            assert_eq!((segment(raw, index, false), segment(raw, index, true)), (one, rest));
        };
        check("/a/b%2Fc/d", 1, "b%2Fc", "b%2Fc/d");
        check("//a///b//c/", 1, "b", "b//c/");
        check("/a/", 1, "", "");
        check("/a", 1, "", "");
        check("/", 0, "", "");
    }

    proptest! {
        #[test]
        fn every_segment_that_is_matched_is_found_as_it_was_sent(
            raw in "/(/|\\.|;|%[0-7][0-9a-f]|[ -~]|%c3%a9){0,24}",
        ) {
            let Ok(path) = canonical(&raw) else { return Ok(()) };
            prop_assert!(!path.contains("//") && !path.split('/').any(is_dot_segment));
            for (index, matched) in path[1..].split('/').enumerate() {
                let sent = percent_decode_str(segment(&raw, index, false)).decode_utf8();
                let matched = matched.replace(ESCAPED_SLASH, "/");
                prop_assert_eq!(sent.expect("UTF-8"), matched);
            }
        }
    }
}
