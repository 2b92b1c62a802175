//! The status line (RFC 9112, 4), and what follows from a whole response head.

use super::head::{Framing, MessageHead};
use super::line::{line_end, value_end};
use super::refusal::{Flaw, malformed};

/// What follows a whole response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// Another head: this one was interim.
    Head,
    /// Nothing.
    Nothing,
    /// A body.
    Body(Framing),
}

/// Reads the status line at the start of `bytes`.
///
/// Returns its length with its end, or nothing if it is not all there.
pub(super) fn read_line(head: &mut MessageHead, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
    for (index, &want) in b"HTTP/1.1 ".iter().enumerate() {
        match bytes.get(index) {
            None => return Ok(None),
            Some(&byte) if byte == want => {}
            Some(b'0') if index == 7 => {}
            Some(_) => return Err(malformed("a bad version in the status line")),
        }
    }
    head.is_http_10 = bytes[7] == b'0';
    head.status = 0;
    for index in 9..12 {
        match bytes.get(index) {
            None => return Ok(None),
            Some(byte @ b'0'..=b'9') => head.status = head.status * 10 + u16::from(byte - b'0'),
            Some(_) => return Err(malformed("a status that is not a number")),
        }
    }
    if head.status < 100 {
        return Err(malformed("a status that does not exist"));
    }
    match bytes.get(12) {
        None => Ok(None),
        // Strictly a space comes before an absent reason too, but many leave it out.
        Some(b' ' | b'\r' | b'\n') => {
            let end = value_end(bytes, 12);
            head.reason = 13.min(end)..end;
            line_end(bytes, end)
        }
        Some(_) => Err(malformed("a status that is not a number")),
    }
}

/// Checks a whole head; `to_head` is whether the request was HEAD, `may_switch` whether it asked for
/// another protocol.
pub(super) fn finish(head: &MessageHead, to_head: bool, may_switch: bool) -> Result<Follows, Flaw> {
    match head.status {
        101 if may_switch => head.framing().and_then(|framing| match framing {
            Framing::Unsaid => Ok(Follows::Body(Framing::Unsaid)),
            _ => Err(malformed("a change of protocols with a body")),
        }),
        101 => Err(malformed("a change of protocols that nobody asked for")),
        100..=199 => Ok(Follows::Head),
        // Framing is checked all the same: who lies here lies in the next answer too.
        status => head.framing().map(|framing| match framing {
            _ if to_head || status == 204 || status == 304 => Follows::Nothing,
            framing => Follows::Body(framing),
        }),
    }
}
