//! Requests that get no further than us: why, and what they are told.
//!
//! Does not know sockets or upstreams. A refusal names a path and never a header or a query.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use seawall_core::{HttpVersion, Left, RefusedHead, RequestEnd, ServerEvent};
use seawall_http::Response;
use seawall_http::server::ConnectionState;
use seawall_upstream::BadPath;
use seawall_wire::{Fields, Name, ProblemDetails, Refusal, name};

use crate::answer::record::{self, Ending};
use crate::request::headers;
use crate::shared::Shared;

/// Says why a request is answered before it reached a route.
pub(crate) struct Refused {
    why: RefusedHead,
    status: u16,
    word: &'static str,
    title: &'static str,
    /// Goes with a 405 (RFC 9110, 15.5.6).
    allow: Option<HeaderValue>,
}

impl Refused {
    /// Returns how the request ended, for the log of requests.
    pub(crate) fn ending(&self) -> Ending<'static> {
        // What asks about the server as a whole is answered.
        let is_answer = self.status == 204;
        Ending {
            end: (!is_answer).then_some(RequestEnd::Refused),
            refused: if is_answer { "" } else { self.why.as_str() },
            cause: self.title.into(),
            ..Ending::default()
        }
    }

    pub(crate) const METHOD: Self = Self {
        allow: Some(HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        why: RefusedHead::Method,
        status: 405,
        word: "method-not-allowed",
        title: "CONNECT and TRACE are never served",
    };
    pub(crate) const AUTHORITY: Self = Self::new(
        RefusedHead::Malformed,
        400,
        "malformed-request",
        "the request names no host, or two",
    );
    pub(crate) const PATH: Self =
        Self::new(RefusedHead::Path, 400, "ambiguous-path", "the path could mean two things");
    pub(crate) const EXPECTATION: Self = Self::new(
        RefusedHead::Malformed,
        417,
        "expectation-failed",
        "the request expects something other than 100-continue",
    );
    pub(crate) const TARGET_TOO_LONG: Self =
        Self::new(RefusedHead::TooLarge, 414, "too-large", "the path is too long for the upstream");
    pub(crate) const LINE_TOO_LONG: Self =
        Self::new(RefusedHead::TooLarge, 414, "too-large", "the request line is too long");
    pub(crate) const TOO_MANY_HEADERS: Self =
        Self::new(RefusedHead::TooLarge, 431, "too-large", "the head has too many fields");
    pub(crate) const HEAD_TOO_LARGE: Self =
        Self::new(RefusedHead::TooLarge, 431, "too-large", "the head is too large");
    pub(crate) const NO_ROUTE: Self =
        Self::new(RefusedHead::NoRoute, 404, "no-route", "no route has this path");
    pub(crate) const NO_HOST: Self =
        Self::new(RefusedHead::Misdirected, 421, "no-host", "this host is not served here");
    pub(crate) const BODY_TOO_LARGE: Self =
        Self::new(RefusedHead::BodyTooLarge, 413, "body-too-large", "the body is too large");

    const fn new(why: RefusedHead, status: u16, word: &'static str, title: &'static str) -> Self {
        Self { why, status, word, title, allow: None }
    }

    /// Answers `OPTIONS *`, which asks about the server as a whole.
    pub(crate) fn options(methods: &[&Method]) -> Self {
        let refused = Self::new(RefusedHead::NoRoute, 204, "", "");
        Self { allow: Some(allow(methods)), ..refused }
    }

    pub(crate) fn no_method(allowed: &[&Method]) -> Self {
        let title = "the route does not serve this method";
        let refused = Self::new(RefusedHead::NoMethod, 405, "method-not-allowed", title);
        Self { allow: Some(allow(allowed)), ..refused }
    }
}

impl From<BadPath> for Refused {
    fn from(bad: BadPath) -> Self {
        match bad {
            BadPath::TooLong => Self::TARGET_TOO_LONG,
            BadPath::Unfit(_) => Self::PATH,
        }
    }
}

/// What there is to say of a request whose head never became one.
pub(crate) struct Unread {
    why: &'static str,
    word: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
}

impl Unread {
    pub(crate) const HEAD_TIMEOUT: Self = Self {
        why: Left::HeadTimeout.as_str(),
        word: "head-timeout",
        title: "the request took too long",
        status: 408,
        detail: "its head was not whole in time",
    };

    /// Says that it was refused.
    pub(crate) fn refused(refusal: Refusal, gateway: &Shared) -> Self {
        let Refusal { why, status, detail, .. } = refusal;
        gateway.say(&ServerEvent::RequestRefused { why, status });
        let word = match status {
            405 => "method-not-allowed",
            413 | 414 | 431 => "too-large",
            _ => "malformed-request",
        };
        Self { why: why.as_str(), word, title: "the request was refused", status, detail }
    }

    /// Tells the log of requests, and makes what the client is told.
    pub(crate) fn tell<T>(
        self,
        gateway: &Shared,
        connection: &ConnectionState,
        transport: HttpVersion,
        say: impl FnOnce(&ProblemDetails<'_>) -> T,
    ) -> T {
        let Self { why, word, title, status, detail } = self;
        let id = headers::request_id(&mut Fields::default());
        record::tell_unread(gateway, connection, transport, &id, (why, status, detail));
        let (title, detail, request_id) = (title.into(), detail.into(), id.to_str().ok());
        say(&ProblemDetails {
            word,
            title,
            status,
            detail,
            request_id,
            ..ProblemDetails::default()
        })
    }
}

/// Answers a request that is refused, and says so.
pub(crate) fn refuse(
    gateway: &Shared,
    refused: Refused,
    path: &str,
    id: &HeaderValue,
) -> Response<Bytes> {
    let mut response = if refused.status == 204 {
        let mut response = Response::new(Bytes::new());
        response.head_mut().status = StatusCode::NO_CONTENT;
        response
    } else {
        gateway.say(&ServerEvent::RequestRefused { why: refused.why, status: refused.status });
        Response::problem(&ProblemDetails {
            word: refused.word,
            title: refused.title.into(),
            status: refused.status,
            instance: shortened(path),
            request_id: id.to_str().ok(),
            ..ProblemDetails::default()
        })
    };
    response.headers_mut().insert(name::X_REQUEST_ID, id);
    if let Some(allowed) = &refused.allow {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// Describes a failure of our own.
pub(crate) fn broken() -> Response<Bytes> {
    Response::problem(&ProblemDetails {
        word: "internal",
        title: "the server failed on this request".into(),
        status: 500,
        ..ProblemDetails::default()
    })
}

/// Returns as much of a path as a problem body repeats.
pub(crate) fn shortened(path: &str) -> &str {
    let mut end = path.len().min(INSTANCE_BYTES_MAX);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

const INSTANCE_BYTES_MAX: usize = 256;
const ALLOW: Name<'static> = Name::of("allow");

fn allow(methods: &[&Method]) -> HeaderValue {
    let mut words: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if words.contains(&"GET") {
        words.push("HEAD");
    }
    words.sort_unstable();
    words.dedup();
    HeaderValue::from_str(&words.join(", ")).unwrap_or(HeaderValue::from_static("GET"))
}
