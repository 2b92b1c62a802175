//! The one canonicaliser of paths: the router, the access rules and the upstream builder read
//! its result and nothing else, so that they cannot disagree.
//!
//! Does not know routes or queries. The invariant: the decoded form has no `.` or `..` segment,
//! no empty segment but a last one, no backslash and no control character; the encoded form
//! decodes to it, once, and is pure ASCII.

use std::borrow::Cow;
use std::fmt::Write;
use std::str;

/// A path with one meaning, in two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// Percent-decoded once, for matching.
    pub decoded: Cow<'a, str>,
    /// Safe to send on: escapes that were needed are kept, others are undone or added.
    ///
    /// `%3B` and `;` mean different things to some upstreams, so each stays what it was.
    pub encoded: Cow<'a, str>,
}

/// Says why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFlaw {
    /// It does not begin with `/`.
    #[error("a path that does not begin with a slash")]
    NoSlash,
    /// `.`, `..`, or one of them before `;`, raw or escaped.
    #[error("a dot segment in the path")]
    DotSegment,
    /// `%2f` or `%5c`.
    #[error("an escaped slash in the path")]
    EscapedSlash,
    /// `\`.
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

/// Reads a path as it was sent, without its query.
///
/// Doubled slashes are merged. What was encoded twice stays encoded once.
///
/// ```
/// use seawall_wire::path;
///
/// let path = path::canonical("//api/%6fslo%20s/")?;
/// assert_eq!(path.decoded, "/api/oslo s/");
/// assert_eq!(path.encoded, "/api/oslo%20s/");
/// assert!(path::canonical("/api/..%2fadmin").is_err());
/// # Ok::<(), path::PathFlaw>(())
/// ```
///
/// # Errors
///
/// A path that two readers could read in two ways: see [`PathFlaw`].
pub fn canonical(raw: &str) -> Result<Path<'_>, PathFlaw> {
    if !raw.starts_with('/') {
        return Err(PathFlaw::NoSlash);
    }
    if is_plain(raw.as_bytes()) {
        return Ok(Path { decoded: raw.into(), encoded: raw.into() });
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut encoded = String::with_capacity(raw.len() + 16);
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let byte = escape(&mut bytes)?;
                check_escaped(byte)?;
                decoded.push(byte);
                push(&mut encoded, byte, is_unreserved(byte));
            }
            // Two slashes in a row are one; so nothing can look like `//host` further on.
            b'/' if decoded.last() == Some(&b'/') => {}
            _ => {
                check_raw(byte)?;
                decoded.push(byte);
                push(&mut encoded, byte, is_raw(byte));
            }
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| PathFlaw::NotUtf8)?;
    // What looks harmless byte by byte: U+0080 to U+009F are control characters too.
    if decoded.chars().any(char::is_control) {
        return Err(PathFlaw::Control);
    }
    if decoded.split('/').any(is_dot_segment) {
        return Err(PathFlaw::DotSegment);
    }
    Ok(Path { decoded: decoded.into(), encoded: encoded.into() })
}

/// Returns whether a decoded segment means a place in the tree rather than a name.
///
/// Parameters after `;` are dropped by some upstreams before they resolve the path.
pub(crate) fn is_dot_segment(segment: &str) -> bool {
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    matches!(name, "." | "..")
}

/// Returns whether `raw` is its own canonical form: the usual case, without a copy.
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

const fn check_escaped(byte: u8) -> Result<(), PathFlaw> {
    match byte {
        b'/' | b'\\' => Err(PathFlaw::EscapedSlash),
        0..=0x1f | 0x7f => Err(PathFlaw::Control),
        _ => Ok(()),
    }
}

const fn check_raw(byte: u8) -> Result<(), PathFlaw> {
    match byte {
        b'\\' => Err(PathFlaw::Backslash),
        0..=0x1f | 0x7f => Err(PathFlaw::Control),
        b' ' | b'?' | b'#' | 0x80.. => Err(PathFlaw::Unescaped),
        _ => Ok(()),
    }
}

fn push(encoded: &mut String, byte: u8, is_bare: bool) {
    if is_bare {
        encoded.push(char::from(byte));
    } else {
        write!(encoded, "%{byte:02X}").expect("a String takes everything");
    }
}

/// `unreserved` of RFC 3986, 2.3: an escape of one of these means the same as the character.
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
    fn a_path_has_one_form() {
        let check = |raw: &str, decoded: &str, encoded: &str| {
            let path = canonical(raw).expect(raw);
            assert_eq!((&*path.decoded, &*path.encoded), (decoded, encoded), "{raw}");
        };
        check("/", "/", "/");
        check("/api/weather/oslo", "/api/weather/oslo", "/api/weather/oslo");
        check("//evil.example//x//", "/evil.example/x/", "/evil.example/x/");
        check("/a%20b", "/a b", "/a%20b");
        check("/%41%7e", "/A~", "/A~");
        check("/%c3%a9", "/\u{e9}", "/%C3%A9");
        check("/%e2%82%ac?".trim_end_matches('?'), "/\u{20ac}", "/%E2%82%AC");
        check("/a;b=%3b%3F%23", "/a;b=;?#", "/a;b=%3B%3F%23");
        check("/a|b\"<>^`{}", "/a|b\"<>^`{}", "/a%7Cb%22%3C%3E%5E%60%7B%7D");
        check("/%252f%252e%252e", "/%2f%2e%2e", "/%252f%252e%252e");
        check("/.well-known/...", "/.well-known/...", "/.well-known/...");
        check("/@evil:80", "/@evil:80", "/@evil:80");
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
        for slash in ["/a%2fb", "/a%2Fb", "/..%2f..%2fadmin", "/%5c", "/%5C.."] {
            check(slash, PathFlaw::EscapedSlash);
        }
        check("/a\\b", PathFlaw::Backslash);
        for control in ["/%00", "/a\0", "/%0d%0aX:1", "/%7f", "/\t", "/%c2%85"] {
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

    proptest! {
        #[test]
        fn what_is_sent_on_means_what_was_matched(raw in "/(/|\\.|;|%[0-7][0-9a-f]|[ -~]|%c3%a9){0,24}") {
            let Ok(path) = canonical(&raw) else { return Ok(()) };
            let again = canonical(&path.encoded).expect("a canonical path is a path");
            prop_assert_eq!(&again.encoded, &path.encoded);
            prop_assert_eq!(&again.decoded, &path.decoded);
            let sent = percent_decode_str(&path.encoded).decode_utf8().expect("UTF-8");
            prop_assert_eq!(&sent, &path.decoded);
            prop_assert!(path.encoded.bytes().all(|byte| is_raw(byte) || byte == b'%'));
            prop_assert!(!path.encoded.contains("//"));
        }
    }
}
