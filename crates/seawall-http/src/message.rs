//! Requests and answers: what the `http` crate's types say, with fields that keep what came.
//!
//! Does not know connections. The crate's own map of headers loses order and case, and costs more
//! than all the rules that are asked of it; it is made only for those who want one.

use bytes::Bytes;
use http::header::MaxSizeReached;
use http::uri::Authority;
use http::{Method, StatusCode, Uri, Version};
use seawall_wire::{Fields, ProblemDetails, name};

/// A request, with a body or without.
#[derive(Debug)]
pub struct Request<B> {
    /// Boxed: every future on its way holds it, some of them twice.
    head: Box<RequestHead>,
    body: B,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// What it is to be done with.
    pub uri: Uri,
    /// The version that its sender speaks.
    pub version: Version,
    /// Its fields, in their order.
    pub headers: Fields,
    /// The host that an upstream is told instead of its own. It changes what `Host` or `:authority`
    /// says, never where the request goes.
    pub named_host: Option<Authority>,
}

/// An answer, with a body or without.
#[derive(Debug)]
pub struct Response<B> {
    head: ResponseHead,
    body: B,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// What came of the request.
    pub status: StatusCode,
    /// The version that its sender speaks.
    pub version: Version,
    /// The reason, where it is not the usual one of its status.
    pub reason: Option<Bytes>,
    /// Its fields, in their order.
    pub headers: Fields,
}

impl Default for RequestHead {
    /// `GET /` without a field.
    fn default() -> Self {
        Self {
            method: Method::GET,
            uri: Uri::default(),
            version: Version::HTTP_11,
            headers: Fields::default(),
            named_host: None,
        }
    }
}

impl Default for ResponseHead {
    /// 200 without a field.
    fn default() -> Self {
        let (status, version) = (StatusCode::OK, Version::HTTP_11);
        Self { status, version, reason: None, headers: Fields::default() }
    }
}

impl<B> Request<B> {
    /// Makes a request of a head and a body.
    pub fn from_parts(head: RequestHead, body: B) -> Self {
        Self { head: Box::new(head), body }
    }

    /// Returns its head.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Returns its head, to be changed.
    pub fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.head
    }

    /// Returns its body.
    pub const fn body(&self) -> &B {
        &self.body
    }

    /// Takes it apart.
    pub fn into_parts(self) -> (Box<RequestHead>, B) {
        (self.head, self.body)
    }

    /// Makes one of the `http` crate's of it.
    ///
    /// # Errors
    ///
    /// Fails if it has more fields than a map holds, which is some 24,000.
    pub fn into_http(self) -> Result<http::Request<B>, MaxSizeReached> {
        let mut request = http::Request::new(self.body);
        *request.headers_mut() = self.head.headers.to_map()?;
        *request.method_mut() = self.head.method;
        *request.uri_mut() = self.head.uri;
        *request.version_mut() = self.head.version;
        Ok(request)
    }
}

impl<B> From<http::Request<B>> for Request<B> {
    fn from(request: http::Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        let head = RequestHead {
            headers: Fields::from(&parts.headers),
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            named_host: None,
        };
        Self::from_parts(head, body)
    }
}

impl Response<Bytes> {
    /// Makes the answer that tells a client of a problem.
    pub fn problem(problem: &ProblemDetails<'_>) -> Self {
        let mut response = Self::new(Bytes::from(problem.body()));
        response.head.status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(name::CONTENT_TYPE, ProblemDetails::MEDIA_TYPE);
        headers.insert(name::CACHE_CONTROL, "no-store");
        if let Some(seconds) = problem.retry_after_seconds() {
            headers.insert_number(name::RETRY_AFTER, seconds);
        }
        response
    }
}

impl<B> Response<B> {
    /// Makes an answer of a head and a body.
    pub const fn from_parts(head: ResponseHead, body: B) -> Self {
        Self { head, body }
    }

    /// Makes an answer of 200 without a field.
    pub fn new(body: B) -> Self {
        Self { head: ResponseHead::default(), body }
    }

    /// Returns its head.
    pub const fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Returns its head, to be changed.
    pub const fn head_mut(&mut self) -> &mut ResponseHead {
        &mut self.head
    }

    /// Returns what came of the request.
    pub const fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Returns its fields.
    pub const fn headers(&self) -> &Fields {
        &self.head.headers
    }

    /// Returns its fields, to be changed.
    pub const fn headers_mut(&mut self) -> &mut Fields {
        &mut self.head.headers
    }

    /// Returns its body.
    pub const fn body(&self) -> &B {
        &self.body
    }

    /// Takes its body out.
    pub fn into_body(self) -> B {
        self.body
    }

    /// Returns its body, to be changed.
    pub const fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Takes it apart.
    pub fn into_parts(self) -> (ResponseHead, B) {
        (self.head, self.body)
    }

    /// Makes another body of its body.
    pub fn map<C>(self, map: impl FnOnce(B) -> C) -> Response<C> {
        Response { head: self.head, body: map(self.body) }
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let head = ResponseHead {
            status: parts.status,
            version: parts.version,
            reason: None,
            headers: Fields::from(&parts.headers),
        };
        Self { head, body }
    }
}
