//! The line before a chunk (RFC 9112, 7.1).
//!
//! Extensions may be there, within a bound and without control characters; nobody reads them.

use super::line::{line_end, value_end};
use super::refusal::{Flaw, malformed};

/// A chunk line that is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkLine {
    /// The size of the chunk; zero ends the body.
    pub(super) size: u64,
    /// How long the line is, with its end.
    pub(super) len: usize,
}

/// Reads the chunk line at the start of `bytes`; nothing if it is not all there.
pub(super) fn read(bytes: &[u8], line_max: usize) -> Result<Option<ChunkLine>, Flaw> {
    let digits = bytes.iter().take(DIGITS_MAX + 1).position(|byte| !byte.is_ascii_hexdigit());
    let digits = match digits {
        Some(0) => return Err(malformed("a chunk without a size")),
        Some(digits) => digits,
        None if bytes.len() > DIGITS_MAX => return Err(malformed("a chunk size that is too long")),
        None => return Ok(None),
    };
    let end = match bytes[digits] {
        b';' => value_end(bytes, digits),
        b'\r' | b'\n' => digits,
        _ => return Err(malformed("a chunk size that is not a number")),
    };
    if end > line_max {
        return Err(malformed("a chunk extension that is too long"));
    }
    let Some(len) = line_end(bytes, end)? else { return Ok(None) };
    let hex = bytes[..digits].iter();
    let size = hex.fold(0, |sum, &byte| sum << 4 | u64::from(hex_value(byte)));
    if size > i64::MAX as u64 {
        return Err(malformed("a chunk size that is too large"));
    }
    Ok(Some(ChunkLine { size, len }))
}

const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// What fits in 64 bits.
const DIGITS_MAX: usize = 16;
