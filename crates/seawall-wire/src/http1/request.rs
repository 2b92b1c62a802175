//! The request line (RFC 9112, 3), and what a whole request head must say.

use crate::host::Host;

use super::head::{Authority, Framing, MessageHead};
use super::line::{line_end, target_len, token_len};
use super::refusal::{Flaw, malformed, method, version};

/// Reads the request line at the start of `bytes`.
///
/// Returns its length with its end, or nothing if it is not all there.
pub(super) fn read_line(head: &mut MessageHead, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
    // Empty lines are skipped (RFC 9112, 2.2): old clients end a body with one too many.
    let mut skip = 0;
    while skip < EMPTY_LINES_MAX * 2 && bytes.get(skip) == Some(&b'\r') {
        match line_end(bytes, skip)? {
            Some(at) => skip = at,
            None => return Ok(None),
        }
    }
    let line = &bytes[skip..];
    let method_len = token_len(line);
    match line.get(method_len) {
        None => return Ok(None),
        Some(b' ') if method_len > 0 => {}
        Some(0x16) if method_len == 0 => return Err(malformed("TLS on a port without TLS")),
        Some(_) => return Err(malformed("a bad method")),
    }
    let word = &line[..method_len];
    if word == b"CONNECT" || word == b"TRACE" {
        return Err(method("a method that is never served"));
    }
    let target_at = method_len + 1;
    let target_len = target_len(&line[target_at..]);
    let version_at = target_at + target_len + 1;
    match line.get(target_at + target_len) {
        None => return Ok(None),
        Some(b' ') if target_len > 0 => {}
        Some(b'\r' | b'\n') => return Err(malformed("a request line without a version")),
        Some(b'#') => return Err(malformed("a fragment in the target")),
        Some(b'<' | b'>') => return Err(malformed(UNESCAPED)),
        Some(_) => return Err(malformed("a bad character in the target")),
    }
    let Some(end) = read_version(head, &line[version_at..])? else { return Ok(None) };
    let target = &line[target_at..target_at + target_len];
    check_escaped(target)?;
    let from = skip + target_at;
    head.authority = read_target(word, target)?.map(|authority| {
        let from = from + authority.at.start;
        Authority { at: from..from + authority.at.len(), ..authority }
    });
    head.method = skip..skip + method_len;
    head.target = from..from + target_len;
    Ok(Some(skip + version_at + end))
}

/// Checks a whole head and returns how its body is framed.
pub(super) fn finish(head: &MessageHead, bytes: &[u8]) -> Result<Framing, Flaw> {
    let Some(host) = head.host(bytes) else {
        // HTTP/1.0 had none.
        return if head.is_http_10 { head.framing() } else { Err(malformed("no Host")) };
    };
    if !Host::is_host(host) {
        return Err(malformed("a bad Host"));
    }
    if let Some(authority) = &head.authority {
        let target = Host::parse(&bytes[authority.at.clone()]);
        let host = Host::parse(host);
        let is_same = target.zip(host).is_some_and(|(a, b)| a.is_same(b, authority.default_port));
        if !is_same {
            return Err(malformed("a Host that is not the target's"));
        }
    }
    head.framing()
}

/// Refuses what the `http` crate's type for targets cannot hold: it would be answered without a word.
fn check_escaped(target: &[u8]) -> Result<(), Flaw> {
    let query_at = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(query_at);
    let is_bad = memchr::memchr(b'`', path).or_else(|| memchr::memchr(b'"', query)).is_some();
    if is_bad { Err(malformed(UNESCAPED)) } else { Ok(()) }
}

/// Checks the form of a target, and returns where the authority of an absolute one stands in it.
fn read_target(method: &[u8], target: &[u8]) -> Result<Option<Authority>, Flaw> {
    if target[0] == b'/' || (target == b"*" && method == b"OPTIONS") {
        return Ok(None);
    }
    let has_scheme = |scheme: &[u8]| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let (from, default_port) = match () {
        () if has_scheme(b"http://") => (7, 80),
        () if has_scheme(b"https://") => (8, 443),
        () => return Err(malformed("a target that is neither a path nor an http address")),
    };
    let rest = &target[from..];
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    if !Host::is_host(&rest[..len]) {
        return Err(malformed("a bad host in the target"));
    }
    Ok(Some(Authority { at: from..from + len, default_port }))
}

/// Reads the version and the line's end; returns their length if they are all there.
fn read_version(head: &mut MessageHead, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
    for (index, &want) in b"HTTP/1.1".iter().enumerate() {
        match bytes.get(index) {
            None => return Ok(None),
            Some(&byte) if byte == want => {}
            Some(b'0') if index == 7 => {}
            Some(b'0'..=b'9') if matches!(index, 5 | 7) => {
                return Err(version("a version other than HTTP/1.0 and HTTP/1.1"));
            }
            Some(_) => return Err(malformed("a bad version")),
        }
    }
    head.is_http_10 = bytes[7] == b'0';
    match bytes.get(8) {
        None | Some(b'\r' | b'\n') => line_end(bytes, 8),
        Some(_) => Err(malformed("a bad version")),
    }
}

const UNESCAPED: &str = "a character in the target that must be percent-encoded";

/// How many empty lines may come before a request.
const EMPTY_LINES_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_that_passes_is_one_to_the_http_crate_too() {
        for byte in 0x21..=0x7e_u8 {
            for start in ["/a", "/a?b", "http://a.example/a", "http://a.example?b"] {
                let target = format!("{start}{}", char::from(byte));
                let line = format!("GET {target} HTTP/1.1\r\n");
                let passes = read_line(&mut MessageHead::default(), line.as_bytes()).is_ok();
                let is_uri = byte != b'#' && target.parse::<http::Uri>().is_ok();
                assert_eq!(passes, is_uri, "{target}");
            }
        }
    }
}
