//! From a request to a job: what may pass, where it goes, and what it brings along.
//!
//! Does not know sockets, attempts or strategies. A request that leaves this file has a route, one
//! meaning of its path, and a body that cannot grow past its limit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use seawall_core::{Event, Fate, RefusedHead, RouteId, Transport};
use seawall_upstream::{Body, Replay, is_repeatable};
use seawall_wire::headers::REQUEST_ID;
use seawall_wire::{Host, Path, path};
use tokio::time::Instant;

use crate::body::{AnswerBody, BodyLimits, InFlight, Intake};
use crate::connection::{Link, Phase, Shield};
use crate::forward::{self, Job};
use crate::gateway::Shared;
use crate::headers::{self, Outbound};
use crate::problem::Problem;
use crate::route::{Found, Table};
use crate::sink;

/// Answers one request.
///
/// # Cancel safety
///
/// Dropping the future drops the call: places are given back, and the upstream sees it.
pub(crate) async fn answer(
    gateway: &Arc<Shared>,
    link: &Arc<Link>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let (in_flight, number) = InFlight::enter(gateway, link);
    let table = gateway.table();
    let version = request.version();
    let closes = number >= table.server.limits.keep_alive_requests_max;
    let answered = Shield::new(serve(gateway, link, &table, request)).await;
    let mut response = match answered {
        Some(Answered::Upstream { response, route, ticket }) => {
            let (head, body) = response.into_parts();
            Response::from_parts(head, AnswerBody::upstream(body, route, ticket, in_flight))
        }
        Some(Answered::Ours(response)) => {
            let (head, body) = response.into_parts();
            Response::from_parts(head, AnswerBody::ours(body, in_flight))
        }
        None => {
            gateway.say(&Event::Panicked);
            let (head, body) = broken().response().into_parts();
            Response::from_parts(head, AnswerBody::ours(body, in_flight))
        }
    };
    if version != Version::HTTP_2 && (closes || link.phase() != Phase::Serving) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// What a request is answered with.
pub(crate) enum Answered {
    /// What an upstream said.
    Upstream { response: Response<Body>, route: RouteId, ticket: seawall_call::Ticket },
    /// What we say ourselves.
    Ours(Response<Bytes>),
}

async fn serve(
    gateway: &Shared,
    link: &Link,
    table: &Table,
    request: Request<Incoming>,
) -> Answered {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let path = match admit(&head.method, head.version, &head.uri, &head.headers) {
        Ok(path) => path,
        Err(refused) => return refuse(gateway, refused, head.uri.path()),
    };
    let instance = path.encoded.as_ref();
    if instance == "*" {
        return Answered::Ours(options(table));
    }
    let host = host_of(&head.uri, &head.headers);
    let (entry, captured) = match table.find(&head.method, host.as_deref(), &path.decoded) {
        Found::Route(entry, captured) => (entry, captured),
        Found::NoMethod(allowed) => {
            return refuse(gateway, Refused::no_method(&allowed), instance);
        }
        Found::NoRoute => return refuse(gateway, Refused::NO_ROUTE, instance),
        Found::NoHost => return refuse(gateway, Refused::NO_HOST, instance),
    };
    let Some(uri) = entry.uri(&captured, &path, head.uri.query()) else {
        return refuse(gateway, Refused::PATH, instance);
    };
    let limits = &table.server.limits;
    let bytes_max = entry.route.body_bytes_max.unwrap_or(limits.body_bytes_max);
    if body.size_hint().lower() > bytes_max {
        return refuse(gateway, Refused::BODY_TOO_LARGE, instance);
    }

    let transport =
        if head.version == Version::HTTP_2 { Transport::Http2 } else { Transport::Http1 };
    let route = entry.route.id;
    gateway.say(&Event::RequestStarted { route, transport });
    let mut underway = Underway { gateway, route, started, is_over: false };
    let authority = head.uri.authority().map(Authority::as_str);
    let Outbound { headers, request_id, limit } =
        headers::outbound(head.headers, authority, link.peer, &table.server.trusted_proxies);
    let params = entry.route.target.policy.params();
    let retry = params.retry.as_ref();
    let body = {
        let rate_min = limits.body_rate_min;
        let body_limits = BodyLimits { bytes_max, rate_min, grace: limits.body_grace };
        let kept_max = match retry {
            Some(params) if is_repeatable(&head.method, &headers, retry) => params.replay_bytes_max,
            _ => 0,
        };
        match body.is_end_stream() {
            true => Replay::new(Body::empty(), 0),
            false => Replay::new(Body::boxed(Intake::new(body, body_limits)), kept_max),
        }
    };
    let deadline = limit.map(|limit| started + limit);
    let job = Job { route: &entry.route, method: head.method, uri, headers, body, deadline, retry };
    let result = forward::call(&job, &link.cancel).await;
    let took = started.elapsed();
    let (mut answered, fate, attempts) = sink::answer(result, &job, link, table, instance, took);
    let (status, headers) = answered.head();
    headers.entry(REQUEST_ID).or_insert(request_id);
    underway.ended(fate, status, attempts);
    answered
}

impl Answered {
    fn head(&mut self) -> (StatusCode, &mut HeaderMap) {
        match self {
            Self::Upstream { response, .. } => (response.status(), response.headers_mut()),
            Self::Ours(response) => (response.status(), response.headers_mut()),
        }
    }
}

/// Checks what a route cannot change, and returns the path in its one form.
fn admit<'u>(
    method: &Method,
    version: Version,
    uri: &'u Uri,
    headers: &HeaderMap,
) -> Result<Path<'u>, Refused> {
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Refused::METHOD);
    }
    if version == Version::HTTP_2 && !has_one_authority(uri, headers) {
        return Err(Refused::AUTHORITY);
    }
    let path = uri.path();
    if path == "*" && *method == Method::OPTIONS {
        return Ok(Path { decoded: path.into(), encoded: path.into() });
    }
    path::canonical(path).map_err(|_| Refused::PATH)
}

/// Returns whether an HTTP/2 request names one host that can be one, once or twice (RFC 9113,
/// 8.3.1). Over HTTP/1 the scanner has seen to it.
fn has_one_authority(uri: &Uri, headers: &HeaderMap) -> bool {
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let named = match (authority, hosts.next(), hosts.next()) {
        (Some(one), Some(other), None) if !one.eq_ignore_ascii_case(other) => None,
        (Some(one), _, None) | (None, Some(one), None) => Some(one),
        _ => None,
    };
    named.is_some_and(|named| Host::parse(named).is_some())
}

/// Returns the host that is asked for, in lower case and without a port.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = named.or_else(|| headers.get(header::HOST).map(HeaderValue::as_bytes))?;
    Some(Host::parse(named)?.name.to_ascii_lowercase())
}

/// Says which methods the server as a whole may answer.
fn options(table: &Table) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, allow(&table.methods()));
    response
}

fn allow(methods: &[&Method]) -> HeaderValue {
    let mut words: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if words.contains(&"GET") {
        words.push("HEAD");
    }
    words.sort_unstable();
    words.dedup();
    HeaderValue::from_str(&words.join(", ")).unwrap_or(HeaderValue::from_static("GET"))
}

/// Says why a request is answered before it reached a route.
struct Refused {
    why: RefusedHead,
    status: u16,
    word: &'static str,
    title: &'static str,
    allow: Option<HeaderValue>,
}

impl Refused {
    const METHOD: Self = Self::new(
        RefusedHead::Method,
        405,
        "method-not-allowed",
        "CONNECT and TRACE are never served",
    );
    const AUTHORITY: Self = Self::new(
        RefusedHead::Malformed,
        400,
        "malformed-request",
        "the request names no host, or two",
    );
    const PATH: Self =
        Self::new(RefusedHead::Path, 400, "ambiguous-path", "the path could mean two things");
    const NO_ROUTE: Self =
        Self::new(RefusedHead::NoRoute, 404, "no-route", "no route has this path");
    const NO_HOST: Self =
        Self::new(RefusedHead::Misdirected, 421, "no-host", "this host is not served here");
    const BODY_TOO_LARGE: Self =
        Self::new(RefusedHead::BodyTooLarge, 413, "body-too-large", "the body is too large");

    const fn new(why: RefusedHead, status: u16, word: &'static str, title: &'static str) -> Self {
        Self { why, status, word, title, allow: None }
    }

    fn no_method(allowed: &[&Method]) -> Self {
        let title = "the route does not serve this method";
        let refused = Self::new(RefusedHead::NoMethod, 405, "method-not-allowed", title);
        Self { allow: Some(allow(allowed)), ..refused }
    }
}

fn refuse(gateway: &Shared, refused: Refused, path: &str) -> Answered {
    gateway.say(&Event::RequestRefused { why: refused.why, status: refused.status });
    let problem = Problem {
        word: refused.word,
        title: refused.title.into(),
        status: refused.status,
        instance: shortened(path),
        ..Problem::default()
    };
    let mut response = problem.response();
    if refused.status == 405 {
        let allowed = refused.allow.unwrap_or(HeaderValue::from_static(""));
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    Answered::Ours(response)
}

fn broken() -> Problem<'static> {
    Problem {
        word: "internal",
        title: "the server failed on this request".into(),
        status: 500,
        ..Problem::default()
    }
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

/// Says that a request is under way; if it is dropped before its answer, that its client left.
struct Underway<'a> {
    gateway: &'a Shared,
    route: RouteId,
    started: Instant,
    is_over: bool,
}

impl Underway<'_> {
    fn ended(&mut self, fate: Fate, status: StatusCode, attempts: u32) {
        self.is_over = true;
        self.say(fate, status.as_u16(), attempts);
    }

    fn say(&self, fate: Fate, status: u16, attempts: u32) {
        let took: Duration = self.started.elapsed();
        let route = self.route;
        self.gateway.say(&Event::RequestEnded { route, fate, status, attempts, took });
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let (fate, status) = match std::thread::panicking() {
                true => (Fate::Failed, 500),
                false => (Fate::Cancelled, CLIENT_CLOSED_REQUEST),
            };
            self.say(fate, status, 0);
        }
    }
}

/// The status that the log shows for a client that left; nobody is there to be answered.
const CLIENT_CLOSED_REQUEST: u16 = 499;
