//! From a request to a job: what may pass, where it goes, and what it brings along.
//!
//! Does not know sockets, attempts or strategies. A request that leaves this file has a route, one
//! meaning of its path, and a body that cannot grow past its limit.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Method, StatusCode, Uri, Version};
use http_body::Body as _;
use seawall_call::{Permit, draw_call_id};
use seawall_core::{CallId, Fate, RouteId, ServerEvent};
use seawall_http::{Body, Replay, Request, RequestHead, Response, may_resend};
use seawall_policy::retry;
use seawall_wire::headers as rules;
use seawall_wire::{Fields, Host, Value, name, path};
use tokio::time::{Instant, timeout};

use crate::answer::body::{AnswerBody, Cut, InFlight};
use crate::answer::record::{self, Ending, Record};
use crate::answer::redirect;
use crate::answer::sink;
use crate::call::cache;
use crate::call::ended::Ended;
use crate::call::fallback;
use crate::call::forward::{self, Job};
use crate::request::caller::Caller;
use crate::request::head;
use crate::request::headers::{self, Outbound};
use crate::request::intake::{BodyLimits, Intake};
use crate::request::refused::{Refused, broken, refuse};
use crate::route::{Entry, Found, Table};
use crate::settings::{Fallback, Route};
use crate::shared::Shared;
use seawall_http::server::{CatchPanic, ConnectionState, Phase, RequestBody};

/// Answers one request.
///
/// # Cancel safety
///
/// Dropping the future drops the call: places are given back, and the upstream sees it.
pub(crate) async fn answer(
    gateway: &Arc<Shared>,
    link: &Arc<ConnectionState>,
    request: Request<RequestBody>,
) -> Response<AnswerBody> {
    let (in_flight, number) = InFlight::enter(gateway, link);
    let table = gateway.table();
    let (head, body) = request.into_parts();
    let version = head.version;
    let is_http2 = version == Version::HTTP_2;
    let is_head = head.method == Method::HEAD;
    // Reading the body would ask a client for it that waits to be asked.
    let waits = head.headers.contains(name::EXPECT);
    let mut ends = number >= table.server.limits.keep_alive_requests_max;
    let answered = CatchPanic::new(serve(gateway, link, &table, head, body)).await;
    let mut response = match answered {
        Some(Answered::Upstream { response, route, permit, record }) => {
            let (head, body) = response.into_parts();
            let has_length =
                head.headers.contains(name::CONTENT_LENGTH) || body.size_hint().exact().is_some();
            let cut = match version {
                Version::HTTP_2 => Cut::Stream,
                // An answer without a length ends with the connection.
                Version::HTTP_10 if !has_length => Cut::Reset,
                _ => Cut::Close,
            };
            let limits = &table.server.limits;
            let body = AnswerBody::upstream(body, route, permit, cut, record, in_flight, limits);
            Response::from_parts(head, body)
        }
        Some(Answered::Ours { response, unread }) => {
            if let Some(body) = unread
                && !is_http2
            {
                ends |= waits || !drain(body).await;
            }
            let (mut head, body) = response.into_parts();
            let body = if is_head { headless(&mut head.headers, &body) } else { body };
            Response::from_parts(head, AnswerBody::ours(body, in_flight))
        }
        None => {
            gateway.say(&ServerEvent::Panicked);
            ends = true;
            let (head, body) = broken().response().into_parts();
            Response::from_parts(head, AnswerBody::ours(body, in_flight))
        }
    };
    let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !is_http2 && !is_tunnel && (ends || link.phase() != Phase::Serving) {
        response.headers_mut().insert(name::CONNECTION, "close");
    }
    response
}

/// Says in the head how long the body would be, and leaves it out: a HEAD gets
/// nothing else.
fn headless(headers: &mut Fields, body: &Bytes) -> Bytes {
    if !headers.contains(name::CONTENT_LENGTH) {
        headers.insert_number(name::CONTENT_LENGTH, body.len() as u64);
    }
    Bytes::new()
}

/// Reads what is left of a body that nobody wanted, so that the connection can be used again;
/// returns whether it came to its end. What does not come at once is not waited for.
async fn drain(mut body: Body) -> bool {
    let mut bytes = 0;
    let reading = async {
        while bytes <= DRAIN_BYTES_MAX {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    };
    timeout(DRAIN_TIME_MAX, reading).await.unwrap_or(false)
}

const DRAIN_BYTES_MAX: usize = 64 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_millis(100);

/// What a request is answered with.
pub(crate) enum Answered {
    /// What an upstream said.
    Upstream { response: Response<Body>, route: RouteId, permit: Permit, record: Option<Record> },
    /// What we say ourselves, and the rest of the request that was not wanted.
    Ours { response: Response<Bytes>, unread: Option<Body> },
}

async fn serve(
    gateway: &Shared,
    link: &ConnectionState,
    table: &Table,
    mut head: Box<RequestHead>,
    body: RequestBody,
) -> Answered {
    let started = Instant::now();
    let record = Record::begin(&head, link, &table.server, started);
    let length_min = body.size_hint().lower();
    let interim = body.interim();
    let is_tunnel =
        interim.is_some() && body.is_end_stream() && rules::asks_for_websocket(&head.headers);
    let is_http2 = head.version == Version::HTTP_2;
    let limits = &table.server.limits;
    let mut body_limits = BodyLimits {
        bytes_max: limits.body_bytes_max,
        rate_min: limits.body_rate_min,
        grace: limits.body_grace,
    };
    // Over HTTP/1 the strict reader has seen to it.
    let chosen = match head::over(limits, &head).filter(|_| is_http2) {
        Some(refused) => Err(refused),
        None => choose(table, &head.method, head.version, &head.uri, &head.headers, length_min),
    };
    let Chosen { entry, uri, bytes_max } = match chosen {
        Ok(chosen) => chosen,
        Err(refused) => {
            let id = headers::request_id(&mut head.headers);
            let ending = refused.ending();
            let response = refuse(gateway, refused, head.uri.path(), &id);
            if let Some(record) = record {
                let mut record = record.with_id(&id);
                record.answered(None, response.status(), 0, started.elapsed());
                record.tell(gateway, &ending);
            }
            return Answered::Ours { response, unread: intake(body, body_limits) };
        }
    };
    let transport = record::transport(head.version);
    let (route, call) = (entry.route.id, draw_call_id());
    gateway.say(&ServerEvent::RequestStarted { at: started.into_std(), call, route, transport });
    let mut underway =
        Underway { gateway, link, call, route, started, record: None, is_over: false };

    rules::join_cookies(&mut head.headers);
    let trusted = &table.server.trusted_proxies;
    let Route { priority, key, .. } = &entry.route;
    let caller = Caller::read(priority, key, &head.headers, link.peer.ip(), trusted);
    let authority = head.uri.authority().map(Authority::as_str);
    let told = &entry.route.upstream_host;
    let Outbound { mut headers, host, request_id, limit } =
        headers::outbound(head.headers, authority, told, link.peer, trusted);
    if is_tunnel {
        rules::say_websocket(&mut headers);
    }
    underway.record = record.map(|record| record.with_id(&request_id).on_route(route, call));
    let params = entry.route.policy.params();
    let retry = params.retry.as_ref();
    // A connection may turn out to have been forgotten, the upstream refuse it unseen, or another
    // upstream have to be asked.
    let may_be_sent_twice = may_resend(&head.method, &headers, retry)
        || retry.is_some() && entry.route.target.upstream.may_refuse()
        || matches!(entry.route.fallback, Some(Fallback::Upstream(_)));
    let kept_max = match (may_be_sent_twice, retry) {
        (false, _) => 0,
        (true, Some(params)) => params.replay_bytes_max,
        (true, None) => retry::Params::default().replay_bytes_max,
    };
    body_limits.bytes_max = bytes_max;
    let is_stream = is_tunnel || entry.route.is_stream || seawall_http::is_stream(&headers);
    if is_stream || body_limits.rate_min == 0 {
        // However slow; `grace` is then how long it may be silent.
        body_limits.rate_min = 0;
        body_limits.grace = params.timeout.stream_idle;
    }
    let body = intake(body, body_limits).unwrap_or_default();
    let has_body = !body.is_end_stream();
    let body = Replay::new(body, kept_max);
    let deadline = limit.map(|limit| started + limit);
    let route = &entry.route;
    let method = head.method;
    let job = Job {
        call,
        origin: None,
        route,
        method,
        uri,
        host,
        headers,
        body,
        deadline,
        retry,
        caller,
        is_stream,
        interim,
    };
    let mut ended: Ended = match (params.cache.is_some() || params.coalesce) && !is_tunnel {
        false => forward::call(&job, &link.cancel).await.into(),
        // Boxed, and so is the next: routes without them carry no room for them.
        true => {
            let store = table.store(job.route.target.id);
            Box::pin(cache::call(&job, has_body, &store, &params, &link.cancel)).await
        }
    };
    if !job.method.is_safe() {
        cache::forget_changed(&job, &table.store(job.route.target.id), &ended);
    }
    if let Some(fallback) = &job.route.fallback {
        ended = Box::pin(fallback::stand_in(fallback, ended, &job, &params, &link.cancel)).await;
    }
    let took = started.elapsed();
    let failed = ended.error();
    let (mut answered, fate, attempts) =
        sink::answer(ended, &job, link, table, head.uri.path(), took);
    let (status, headers) = answered.head();
    redirect::rewrite(headers, &job, || entry.roots(&head.uri));
    if !headers.contains(name::X_REQUEST_ID) {
        headers.append(name::X_REQUEST_ID, &request_id);
    }
    underway.ended(fate, status, attempts, took);
    match (&mut answered, underway.record.take()) {
        (Answered::Upstream { record: slot, .. }, record) => *slot = record,
        (Answered::Ours { response, .. }, Some(record)) => {
            let ending = match &failed {
                Some(error) => Ending::failed(error, &job.route.policy),
                None => Ending { upstream: Some(job.route.target.id), ..Ending::default() },
            };
            let bytes = response.body().len() as u64;
            record.tell(gateway, &Ending { bytes, ..ending });
        }
        (Answered::Ours { .. }, None) => {}
    }
    if let Answered::Ours { unread, .. } = &mut answered
        && has_body
    {
        *unread = Some(job.body.body());
    }
    answered
}

/// Puts limits on a body, if there is one.
fn intake(body: RequestBody, limits: BodyLimits) -> Option<Body> {
    (!body.is_end_stream()).then(|| Body::boxed(Intake::new(body, limits)))
}

/// Where a request goes.
struct Chosen<'t> {
    entry: &'t Entry,
    /// Path and query at the upstream.
    uri: Uri,
    bytes_max: u64,
}

/// Finds where a request goes, or says why it goes nowhere.
fn choose<'t>(
    table: &'t Table,
    method: &Method,
    version: Version,
    uri: &Uri,
    headers: &Fields,
    length_min: u64,
) -> Result<Chosen<'t>, Refused> {
    let path = admit(method, version, uri, headers)?;
    if path == "*" {
        return Err(Refused::options(&table.methods()));
    }
    let host = table.has_hosts().then(|| host_of(uri, headers)).flatten();
    let entry = match table.find(method, host.as_deref(), &path) {
        Found::Route(entry) => entry,
        Found::NoMethod(allowed) => return Err(Refused::no_method(&allowed)),
        Found::NoRoute => return Err(Refused::NO_ROUTE),
        Found::NoHost => return Err(Refused::NO_HOST),
    };
    let at_upstream = entry.uri(uri)?;
    let bytes_max = entry.route.body_bytes_max.unwrap_or(table.server.limits.body_bytes_max);
    if length_min > bytes_max {
        return Err(Refused::BODY_TOO_LARGE);
    }
    Ok(Chosen { entry, uri: at_upstream, bytes_max })
}

impl Answered {
    pub(crate) fn head(&mut self) -> (StatusCode, &mut Fields) {
        match self {
            Self::Upstream { response, .. } => (response.status(), response.headers_mut()),
            Self::Ours { response, .. } => (response.status(), response.headers_mut()),
        }
    }
}

/// Checks what a route cannot change, and returns the path in the form that routes are matched by.
fn admit<'u>(
    method: &Method,
    version: Version,
    uri: &'u Uri,
    headers: &Fields,
) -> Result<Cow<'u, str>, Refused> {
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Refused::METHOD);
    }
    if version == Version::HTTP_2 && !has_one_authority(uri, headers) {
        return Err(Refused::AUTHORITY);
    }
    let path = uri.path();
    if !is_met(headers) {
        return Err(Refused::EXPECTATION);
    }
    if path == "*" && *method == Method::OPTIONS {
        return Ok(path.into());
    }
    path::canonical(path).map_err(|_| Refused::PATH)
}

/// Returns whether what a client expects is what there is: a 100 before its body (RFC 9110, 10.1.1).
fn is_met(headers: &Fields) -> bool {
    let expected = |value: Value<'_>| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    headers.get_all(name::EXPECT).all(expected)
}

/// Returns whether an HTTP/2 request names one host that can be one, once or twice (RFC 9113,
/// 8.3.1). Over HTTP/1 the strict reader has seen to it.
fn has_one_authority(uri: &Uri, headers: &Fields) -> bool {
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = headers.get_all(name::HOST).map(Value::as_bytes);
    let named = match (authority, hosts.next(), hosts.next()) {
        (Some(one), Some(other), None) if !one.eq_ignore_ascii_case(other) => None,
        (Some(one), _, None) | (None, Some(one), None) => Some(one),
        _ => None,
    };
    named.is_some_and(|named| Host::parse(named).is_some())
}

/// Returns the host that is asked for, in lower case and without a port.
fn host_of(uri: &Uri, headers: &Fields) -> Option<String> {
    let named = uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = named.or_else(|| headers.get(name::HOST).map(Value::as_bytes))?;
    Some(Host::parse(named)?.name.to_ascii_lowercase())
}

/// Says that a request is under way; if it is dropped before its answer, that its client left.
struct Underway<'a> {
    gateway: &'a Shared,
    link: &'a ConnectionState,
    call: CallId,
    route: RouteId,
    started: Instant,
    record: Option<Record>,
    is_over: bool,
}

impl Underway<'_> {
    fn ended(&mut self, fate: Fate, status: StatusCode, attempts: u32, took: Duration) {
        self.is_over = true;
        let is_left = fate == Fate::Cancelled;
        let status = if is_left { CLIENT_CLOSED_REQUEST } else { status.as_u16() };
        if let Some(record) = &mut self.record {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            record.answered(Some(fate), status, attempts, took);
        }
        self.say(fate, status, attempts, took);
    }

    fn say(&self, fate: Fate, status: u16, attempts: u32, took: Duration) {
        let (call, route) = (self.call, self.route);
        let ended = ServerEvent::RequestEnded { call, route, fate, status, attempts, took };
        self.gateway.say(&ended);
        #[cfg(test)]
        assert!(!self.gateway.has_bug.swap(false, std::sync::atomic::Ordering::Relaxed), "a bug");
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let is_panic = std::thread::panicking();
        if self.is_over && !is_panic {
            return;
        }
        let (fate, status) = match is_panic {
            true => (Fate::Failed, 500),
            false => (Fate::Cancelled, CLIENT_CLOSED_REQUEST),
        };
        let took = self.started.elapsed();
        // One that ended before the panic has been counted.
        if !self.is_over {
            self.say(fate, status, 0, took);
        }
        if let Some(mut record) = self.record.take() {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            record.answered(Some(fate), status, 0, took);
            let ending = match fate {
                Fate::Cancelled => Ending::cancelled(self.link),
                _ => Ending { cause: "a bug of ours: it panicked".into(), ..Ending::default() },
            };
            record.tell(self.gateway, &ending);
        }
    }
}

/// The status that the log shows for a client that left; nobody is there to be answered.
const CLIENT_CLOSED_REQUEST: u16 = 499;
