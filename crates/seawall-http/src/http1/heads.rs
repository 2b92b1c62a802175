//! Heads as messages, and back.
//!
//! Does not know connections. The strict reader has let pass what comes in, so what the `http`
//! crate's types cannot hold is rare: a target of 64 KiB.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use seawall_core::RefusedHead;
use seawall_wire::http1::{
    MessageHead, Unwritable, trailer_fields, write_end, write_fields, write_header,
    write_request_line,
};
use seawall_wire::{Refusal, StreamPosition};

use crate::{RequestHead, ResponseHead};

/// A head that was read, and the bytes in which it stands.
pub(crate) struct Found {
    pub(crate) head: MessageHead,
    pub(crate) bytes: Vec<u8>,
}

/// Says that the `http` crate's types cannot hold a head.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the head has a target that is too long, or a trailer has a name that is")]
pub(crate) struct TooLong;

impl From<TooLong> for Refusal {
    /// Says it of a request.
    fn from(_: TooLong) -> Self {
        let detail = "a name or a target is too long";
        Self { why: RefusedHead::TooLarge, status: 431, detail, place: StreamPosition::Head }
    }
}

/// Makes the head of a request of what was read.
pub(crate) fn request(Found { head, bytes }: Found) -> Result<RequestHead, TooLong> {
    Ok(RequestHead {
        method: Method::from_bytes(&bytes[head.method()]).map_err(|_| TooLong)?,
        uri: Uri::try_from(&bytes[head.target()]).map_err(|_| TooLong)?,
        version: version(&head),
        headers: head.into_fields(bytes),
        named_host: None,
    })
}

/// Makes the head of an answer of what was read.
pub(crate) fn response(Found { head, bytes }: Found) -> Result<ResponseHead, TooLong> {
    let status = StatusCode::from_u16(head.status()).map_err(|_| TooLong)?;
    let reason = &bytes[head.reason()];
    let is_usual = status.canonical_reason().map(str::as_bytes) == Some(reason);
    Ok(ResponseHead {
        status,
        version: version(&head),
        reason: (!is_usual).then(|| Bytes::copy_from_slice(reason)),
        headers: head.into_fields(bytes),
    })
}

fn version(head: &MessageHead) -> Version {
    if head.is_http_10() { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Makes a map of a trailer section.
pub(crate) fn trailers(bytes: &Bytes) -> Result<HeaderMap, TooLong> {
    let mut trailers = HeaderMap::new();
    for field in trailer_fields(bytes) {
        let name = HeaderName::from_bytes(&bytes[field.name()]).map_err(|_| TooLong)?;
        let value = bytes.slice(field.value());
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| TooLong)?;
        trailers.try_append(name, value).map_err(|_| TooLong)?;
    }
    Ok(trailers)
}

/// Writes the head of a request.
pub(crate) fn write_request(out: &mut Vec<u8>, head: &RequestHead) -> Result<(), Unwritable> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    write_request_line(out, head.method.as_str().as_bytes(), target.as_bytes())?;
    write_fields(out, &head.headers);
    write_end(out);
    Ok(())
}

/// Writes the lines of trailers.
pub(crate) fn write_trailers(out: &mut Vec<u8>, trailers: &HeaderMap) {
    for (name, value) in trailers {
        write_header(out, name, value);
    }
}
