//! What has been learned of the head that is being read, and what follows from it.
//!
//! Does not know start lines. A head stays where it is until it is whole, so places in it are
//! indexes from its first byte and outlive a call.

use std::ops::Range;

use super::line::Field;
use super::refusal::{Flaw, malformed};

/// What has been learned of a head so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// Where the next line begins.
    pub(super) at: usize,
    /// How many bytes have been offered before; no line ended in them from `at` on.
    pub(super) seen: usize,
    /// Whether the start line has been read.
    pub(super) has_start: bool,
    pub(super) is_http_10: bool,
    pub(super) fields: usize,
    /// The status of a response.
    pub(super) status: u16,
    /// The authority of an absolute target.
    pub(super) authority: Option<Authority>,
    host: Option<Range<usize>>,
    length: Option<u64>,
    is_chunked: bool,
}

/// The authority of an absolute target.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) at: Range<usize>,
    pub(super) default_port: u16,
}

/// How long the body is that follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Nothing was said.
    Unsaid,
    Length(u64),
    Chunked,
}

impl Head {
    /// Takes in a field of the line at [`Head::at`].
    pub(super) fn learn(&mut self, field: &Field<'_>, is_request: bool) -> Result<(), Flaw> {
        // By length first: most fields are none of these, and this is once per field.
        match field.name.len() {
            4 if is_request && field.name.eq_ignore_ascii_case(b"host") => {
                if self.host.is_some() {
                    return Err(malformed("more than one Host"));
                }
                let from = self.at + field.value_at;
                self.host = Some(from..from + field.value.len());
            }
            14 if field.name.eq_ignore_ascii_case(b"content-length") => {
                self.length = Some(match is_request {
                    true if self.length.is_some() => {
                        return Err(malformed("more than one Content-Length"));
                    }
                    true => length(field.value)?,
                    false => same_length(self.length, field.value)?,
                });
            }
            17 if field.name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.is_chunked {
                    return Err(malformed("more than one Transfer-Encoding"));
                }
                if !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed("a Transfer-Encoding other than chunked"));
                }
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns how the body is framed.
    pub(super) fn framing(&self) -> Result<Framing, Flaw> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(malformed("both Content-Length and Transfer-Encoding")),
            (true, None) if self.is_http_10 => Err(malformed("Transfer-Encoding in HTTP/1.0")),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::Unsaid),
        }
    }

    /// Returns the value of Host in the head `bytes`.
    pub(super) fn host<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.host.clone().map(|at| &bytes[at])
    }
}

/// Reads a Content-Length of an answer. One that is said twice and is the same is one (RFC 9110,
/// 8.6): it can be read in one way only, and servers behind CGI-like layers send it.
fn same_length(mut known: Option<u64>, value: &[u8]) -> Result<u64, Flaw> {
    for member in value.split(|&byte| byte == b',') {
        let length = length(member.trim_ascii())?;
        if known.replace(length).is_some_and(|known| known != length) {
            return Err(malformed("two Content-Lengths"));
        }
    }
    known.ok_or(malformed("an empty Content-Length"))
}

/// Reads a Content-Length: digits and nothing else (RFC 9110, 8.6).
fn length(value: &[u8]) -> Result<u64, Flaw> {
    if value.is_empty() {
        return Err(malformed("an empty Content-Length"));
    }
    let mut sum = 0_u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(malformed("a Content-Length that is not a number"));
        }
        let more = sum.checked_mul(10).and_then(|sum| sum.checked_add(u64::from(byte - b'0')));
        sum = more.ok_or(malformed("a Content-Length that is too large"))?;
    }
    // Signed readers behind us would see a negative one.
    if sum > i64::MAX as u64 {
        Err(malformed("a Content-Length that is too large"))
    } else {
        Ok(sum)
    }
}
