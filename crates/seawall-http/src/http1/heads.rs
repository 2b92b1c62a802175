//! Heads as the `http` crate's types, and back.
//!
//! Does not know connections. The strict reader has let pass what comes in, so what these types
//! cannot hold is rare: a name of 64 KiB, or more fields than a map takes.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use seawall_core::RefusedHead;
use seawall_wire::http1::{Field, Head, Unwritable, write_end, write_header, write_request_line};
use seawall_wire::{Place, Refusal};

/// The reason of an answer, as an extension, where it is not the usual one of its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub Bytes);

/// Says that the `http` crate's types cannot hold a head.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the head has a name or a target that is too long")]
pub(crate) struct TooLong;

impl From<TooLong> for Refusal {
    /// Says it of a request.
    fn from(_: TooLong) -> Self {
        let detail = "a name or a target is too long";
        Self { why: RefusedHead::TooLarge, status: 431, detail, place: Place::Head }
    }
}

/// Makes a request without a body of the head that was read.
pub(crate) fn request<B: Default>(head: &Head, bytes: &Bytes) -> Result<Request<B>, TooLong> {
    let mut request = Request::new(B::default());
    *request.method_mut() = Method::from_bytes(&bytes[head.method()]).map_err(|_| TooLong)?;
    let target = Uri::from_maybe_shared(bytes.slice(head.target()));
    *request.uri_mut() = target.map_err(|_| TooLong)?;
    *request.version_mut() = version(head);
    *request.headers_mut() = headers(head.fields(), bytes)?;
    Ok(request)
}

/// Makes the head of an answer of what was read.
pub(crate) fn response(head: &Head, bytes: &Bytes) -> Result<Response<()>, TooLong> {
    let mut response = Response::new(());
    let status = StatusCode::from_u16(head.status()).map_err(|_| TooLong)?;
    *response.status_mut() = status;
    *response.version_mut() = version(head);
    *response.headers_mut() = headers(head.fields(), bytes)?;
    let reason = &bytes[head.reason()];
    if status.canonical_reason().map(str::as_bytes) != Some(reason) {
        response.extensions_mut().insert(Reason(bytes.slice(head.reason())));
    }
    Ok(response)
}

fn version(head: &Head) -> Version {
    if head.is_http_10() { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Makes a map of fields, which keeps their order but for those that come twice.
pub(crate) fn headers(fields: &[Field], bytes: &Bytes) -> Result<HeaderMap, TooLong> {
    // With room for what is added on the way: to grow costs as much as to read.
    let mut headers = HeaderMap::with_capacity(fields.len() + FIELDS_ADDED);
    for field in fields {
        let name = HeaderName::from_bytes(&bytes[field.name()]).map_err(|_| TooLong)?;
        let value = bytes.slice(field.value());
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| TooLong)?;
        headers.try_append(name, value).map_err(|_| TooLong)?;
    }
    Ok(headers)
}

/// How many fields the gateway adds to most requests.
const FIELDS_ADDED: usize = 9;

/// Writes the head of a request.
pub(crate) fn write_request(
    out: &mut Vec<u8>,
    head: &http::request::Parts,
) -> Result<(), Unwritable> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    write_request_line(out, head.method.as_str().as_bytes(), target.as_bytes())?;
    write_fields(out, &head.headers);
    write_end(out);
    Ok(())
}

/// Writes the lines of fields.
pub(crate) fn write_fields(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        write_header(out, name, value);
    }
}
