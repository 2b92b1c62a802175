//! A head: its start line, its fields, and what follows from them.
//!
//! Does not know start lines. A head stays where it is until it is whole, so places in it are
//! indexes from its first byte and outlive a call.

use std::ops::Range;

use super::line::Field as FieldLine;
use super::refusal::{Flaw, malformed};
use crate::fields::{Field, Fields};
use crate::name;

/// The parts of a head, as places in its bytes.
#[derive(Clone, Debug, Default)]
pub struct MessageHead {
    /// The method of a request.
    pub(super) method: Range<usize>,
    /// The target of a request.
    pub(super) target: Range<usize>,
    /// The status of a response.
    pub(super) status: u16,
    /// The reason of a response.
    pub(super) reason: Range<usize>,
    pub(super) is_http_10: bool,
    /// The authority of an absolute target.
    pub(super) authority: Option<Authority>,
    pub(super) fields: Vec<Field>,
    pub(super) body: BodyLength,
    host: Option<Range<usize>>,
    length: Option<u64>,
    is_chunked: bool,
    /// What `Connection` says.
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
}

/// The authority of an absolute target.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) at: Range<usize>,
    pub(super) default_port: u16,
}

/// The length of the body that follows a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    #[default]
    Empty,
    /// It has so many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// How the body is framed, by what a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Nothing was said.
    Unsaid,
    Length(u64),
    Chunked,
}

impl MessageHead {
    /// Returns where the method of a request stands.
    pub fn method(&self) -> Range<usize> {
        self.method.clone()
    }

    /// Returns where the target of a request stands.
    pub fn target(&self) -> Range<usize> {
        self.target.clone()
    }

    /// Returns the status of a response.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns where the reason of a response stands; it may be empty.
    pub fn reason(&self) -> Range<usize> {
        self.reason.clone()
    }

    /// Returns its fields, in their order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Returns its fields together with the bytes in which they stand.
    pub fn into_fields(self, bytes: Vec<u8>) -> Fields {
        Fields::of(bytes, self.fields)
    }

    /// Returns how the body is framed that follows it.
    pub const fn body(&self) -> BodyLength {
        self.body
    }

    /// Returns the length that it announces, whether or not a body follows.
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns whether its version is 1.0, not 1.1.
    pub const fn is_http_10(&self) -> bool {
        self.is_http_10
    }

    /// Returns whether its sender lets the connection be used again (RFC 9112, 9.3).
    pub const fn persists(&self) -> bool {
        !self.says_close && (!self.is_http_10 || self.says_keep_alive)
    }

    /// Returns whether the client waits for a 100 before it sends the body.
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue && !self.is_http_10
    }

    /// Takes in a field of the line at `at`.
    pub(super) fn learn(
        &mut self,
        at: usize,
        field: &FieldLine<'_>,
        is_request: bool,
    ) -> Result<(), Flaw> {
        let (value_at, value) = (at + field.value_at, field.value);
        let read = Field::read(at, field.name, value_at, value);
        let read = read.ok_or(malformed("a header name that is too long"))?;
        if self.fields.is_empty() {
            // With room for what is added on the way.
            self.fields.reserve(FIELDS_USUAL);
        }
        self.fields.push(read);
        match read.number() {
            HOST if is_request => {
                if self.host.is_some() {
                    return Err(malformed("more than one Host"));
                }
                self.host = Some(read.value());
            }
            EXPECT if is_request => {
                self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            CONNECTION => {
                for option in value.split(|&byte| byte == b',') {
                    let option = option.trim_ascii();
                    self.says_close |= option.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            CONTENT_LENGTH => {
                self.length = Some(match is_request {
                    true if self.length.is_some() => {
                        return Err(malformed("more than one Content-Length"));
                    }
                    true => length(value)?,
                    false => same_length(self.length, value)?,
                });
            }
            TRANSFER_ENCODING => {
                if self.is_chunked {
                    return Err(malformed("more than one Transfer-Encoding"));
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
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
pub(crate) fn length(value: &[u8]) -> Result<u64, Flaw> {
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

const HOST: u8 = name::HOST.number();
const EXPECT: u8 = name::EXPECT.number();
const CONNECTION: u8 = name::CONNECTION.number();
const CONTENT_LENGTH: u8 = name::CONTENT_LENGTH.number();
const TRANSFER_ENCODING: u8 = name::TRANSFER_ENCODING.number();

/// As many fields have room at first.
const FIELDS_USUAL: usize = 16;
