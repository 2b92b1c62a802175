//! Heads: what a header block says of a request or an answer, and whether it may (RFC 9113, 8).
//!
//! Whatever stands in a block, it is decoded to its end: a flaw is remembered, and is its stream's
//! alone.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use seawall_core::RefusedHead;

use super::hpack::{
    DecodedField, encode_field, encode_indexed, encode_indexed_name, encode_status,
};
use crate::fields::LINE_BYTES;
use crate::http1::{Refusal, StreamPosition, is_target, length};
use crate::name::{
    self, CONNECTION, CONTENT_LENGTH, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE,
};
use crate::{Fields, Name, NameSet, Value};

/// A field block, decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum FieldBlock {
    /// A request.
    Request(Http2RequestHead),
    /// An answer, or an interim one.
    Response {
        /// Its status, from 100 to 999.
        status: u16,
        /// Its fields, in their order.
        fields: Fields,
    },
    /// The trailers of either.
    Trailers(Fields),
}

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Http2RequestHead {
    /// What is to be done.
    pub method: Method,
    /// What it is to be done with, or why that is refused: the answer can say so.
    pub target: Result<Uri, Refusal>,
    /// Its fields, in their order; of a head over a limit those up to the first beyond it.
    pub fields: Fields,
}

/// Which kind of block it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
}

/// A head that is being read.
pub(super) struct HeadReader {
    kind: Kind,
    method: Option<Method>,
    scheme: Option<bool>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    status: Option<u16>,
    fields: Fields,
    /// What the body's length is said to be.
    pub(super) length: Option<u64>,
    bytes: usize,
    bytes_max: usize,
    fields_max: usize,
    flaw: Option<&'static str>,
}

impl HeadReader {
    /// Begins a head that is kept up to the first field that is beyond a limit.
    pub(super) fn new(kind: Kind, bytes_max: usize, fields_max: usize) -> Self {
        Self {
            kind,
            method: None,
            scheme: None,
            authority: None,
            path: None,
            status: None,
            fields: Fields::with_usual_room(),
            length: None,
            bytes: 0,
            bytes_max,
            fields_max,
            flaw: None,
        }
    }

    /// Takes the next field.
    pub(super) fn take(&mut self, field: DecodedField<'_>) {
        if self.flaw.is_some() {
            return;
        }
        let taken = match field.name.first() {
            _ if !field.is_fit => Err("a field that no head can have"),
            Some(b':') => self.take_pseudo(field.name, field.value),
            _ => self.take_field(field),
        };
        self.flaw = taken.err();
    }

    fn take_pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !self.fields.is_empty() {
            return Err("a pseudo-header behind a field");
        }
        // Their size is checked where they are used; here it is only bounded.
        let is_new = match (name, self.kind) {
            (b":method", Kind::Request) => {
                let method = Method::from_bytes(value).map_err(|_| "a bad method")?;
                self.method.replace(method).is_none()
            }
            (b":scheme", Kind::Request) => {
                let is_known =
                    value.eq_ignore_ascii_case(b"http") || value.eq_ignore_ascii_case(b"https");
                self.scheme.replace(is_known).is_none()
            }
            (b":authority", Kind::Request) => {
                self.authority.replace(Bytes::copy_from_slice(value)).is_none()
            }
            (b":path", Kind::Request) => self.path.replace(Bytes::copy_from_slice(value)).is_none(),
            (b":status", Kind::Response) => {
                let digits = <[u8; 3]>::try_from(value).ok().filter(|digits| digits[0] != b'0');
                let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
                let digits = digits.ok_or("a bad status")?;
                let status = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
                self.status.replace(status).is_none()
            }
            _ => return Err("a pseudo-header that there is not"),
        };
        if is_new { Ok(()) } else { Err("a pseudo-header that is said twice") }
    }

    fn take_field(&mut self, field: DecodedField<'_>) -> Result<(), &'static str> {
        let (name, value) = (Name::read(field.name, field.number), Value::read(field.value));
        if OF_HTTP1.contains(name) || name == TE && field.value != b"trailers" {
            return Err("a field of HTTP/1");
        }
        if name == CONTENT_LENGTH && self.kind != Kind::Trailers {
            // Once, as over HTTP/1; an answer may say it twice in the same way.
            let length = length(field.value).map_err(|_| "a bad content-length")?;
            if self
                .length
                .replace(length)
                .is_some_and(|other| other != length || self.kind == Kind::Request)
            {
                return Err("two content-lengths");
            }
        }
        if !self.is_cut() {
            self.bytes += field.name.len() + field.value.len() + LINE_BYTES;
            self.fields.append(name, value);
        }
        Ok(())
    }

    /// Returns whether it was over a limit, and its last fields were left out.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes > self.bytes_max || self.fields.len() > self.fields_max
    }

    /// Ends the head, or says what is wrong with it.
    pub(super) fn finish(self) -> Result<FieldBlock, &'static str> {
        if let Some(flaw) = self.flaw {
            return Err(flaw);
        }
        match self.kind {
            Kind::Trailers => Ok(FieldBlock::Trailers(self.fields)),
            Kind::Response => {
                // There is nothing to switch to (RFC 9113, 8.6).
                let status = self.status.filter(|status| *status != 101).ok_or("no status")?;
                Ok(FieldBlock::Response { status, fields: self.fields })
            }
            Kind::Request => {
                let method = self.method.ok_or("no method")?;
                let authority = self.authority.map(Authority::from_maybe_shared).transpose();
                let authority = authority.map_err(|_| "a bad authority")?;
                let mut parts = http::uri::Parts::default();
                parts.authority = authority;
                let target = match (self.path, self.scheme) {
                    (None, None) if method == Method::CONNECT => Ok(parts),
                    (Some(path), Some(true)) if method != Method::CONNECT => {
                        let target = path_and_query(path, &method);
                        // The scheme that we were asked with; a client in front of a proxy that ends
                        // TLS says another.
                        parts.scheme = parts.authority.as_ref().map(|_| Scheme::HTTP);
                        target.map(|target| {
                            parts.path_and_query = Some(target);
                            parts
                        })
                    }
                    _ => return Err("a path, a scheme or both are missing, or wrong"),
                };
                let target = match target {
                    Ok(parts) => Ok(Uri::from_parts(parts).map_err(|_| "a bad target")?),
                    Err(refusal) => Err(refusal),
                };
                Ok(FieldBlock::Request(Http2RequestHead { method, target, fields: self.fields }))
            }
        }
    }
}

/// Reads a path, or says why a request with it is refused.
fn path_and_query(path: Bytes, method: &Method) -> Result<PathAndQuery, Refusal> {
    let refusal =
        |why, status, detail| Refusal { why, status, detail, place: StreamPosition::Head };
    if path.len() > PATH_BYTES_MAX {
        return Err(refusal(RefusedHead::TooLarge, 414, "the path is too long"));
    }
    let is_path = path.starts_with(b"/") || &*path == b"*" && method == Method::OPTIONS;
    let bad = refusal(RefusedHead::Malformed, 400, "a path that cannot be one");
    if !is_path || !is_target(&path) {
        return Err(bad);
    }
    PathAndQuery::from_maybe_shared(path).map_err(|_| bad)
}

/// The longest path that the `http` crate's types can hold, roughly.
const PATH_BYTES_MAX: usize = 60 * 1024;

/// Writes the head of a request.
pub fn encode_request(
    out: &mut Vec<u8>,
    method: &Method,
    authority: &[u8],
    path: &[u8],
    fields: &Fields,
) {
    match *method {
        Method::GET => encode_indexed(out, 2),
        Method::POST => encode_indexed(out, 3),
        _ => encode_indexed_name(out, 2, method.as_str().as_bytes()),
    }
    encode_indexed(out, 6);
    encode_indexed_name(out, 1, authority);
    match path {
        b"/" => encode_indexed(out, 4),
        _ => encode_indexed_name(out, 4, path),
    }
    encode_fields(out, fields);
}

/// Writes the head of an answer.
pub fn encode_response(out: &mut Vec<u8>, status: u16, fields: &Fields) {
    encode_status(out, status);
    encode_fields(out, fields);
}

/// Writes fields in their order, but for those that are about one HTTP/1 connection.
pub fn encode_fields(out: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields.iter().filter(|(name, _)| !OF_HTTP1.contains(*name)) {
        encode_field(out, name, value);
    }
}

/// What is about one HTTP/1 connection (RFC 9113, 8.2.2).
const OF_HTTP1: NameSet =
    NameSet::of(&[CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE]);

const _: () = assert!(name::OTHER == 0, "a pseudo-header is none of the names with a number");
