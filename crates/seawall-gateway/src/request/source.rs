//! From a request to its route's end: what may pass, where it goes, and what it brings along.
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
use seawall_call::draw_call_id;
use seawall_core::{Fate, ServerEvent};
use seawall_http::server::{CatchPanic, ConnectionState, DrainPhase, RequestBody};
use seawall_http::{Body, Replay, Request, RequestHead, Response, may_resend};
use seawall_policy::retry;
use seawall_upstream::{Fallback, HttpRequest, Repeats, RoutedRequest, Upgrade, UpstreamHost};
use seawall_wire::headers as rules;
use seawall_wire::{Fields, Host, Value, name, path};
use tokio::time::{Instant, timeout};

use crate::answer::answered::Answered;
use crate::answer::body::{AnswerBody, Cut};
use crate::answer::in_flight::InFlight;
use crate::answer::record::{self, Ending, Record};
use crate::answer::redirect;
use crate::answer::sink::{self, Called};
use crate::request::caller::{self, Caller};
use crate::request::head;
use crate::request::headers::{self, Outbound};
use crate::request::intake::{BodyLimits, Intake};
use crate::request::refused::{Refused, broken, refuse};
use crate::request::respond::respond;
use crate::request::underway::Underway;
use crate::route::{Entry, Found, Table};
use crate::shared::Shared;
use crate::{KeySource, RouteEnd};

/// Answers one request.
///
/// # Cancel safety
///
/// Dropping the future drops the call: places are given back, and the upstream sees it.
pub(crate) async fn answer(
    gateway: &Arc<Shared>,
    connection: &Arc<ConnectionState>,
    request: Request<RequestBody>,
) -> Response<AnswerBody> {
    let (in_flight, number) = InFlight::enter(gateway, connection);
    let table = gateway.table();
    let (head, body) = request.into_parts();
    let version = head.version;
    let is_http2 = version == Version::HTTP_2;
    let is_head = head.method == Method::HEAD;
    // Reading the body would ask a client for it that waits to be asked.
    let waits = head.headers.contains(name::EXPECT);
    let mut ends = number >= table.server.limits.keep_alive_requests_max;
    let answered = CatchPanic::new(serve(gateway, connection, &table, head, body)).await;
    let mut response = match answered {
        Some(Answered::Streaming { response, route, permit, record }) => {
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
            let (head, body) = broken().into_parts();
            Response::from_parts(head, AnswerBody::ours(body, in_flight))
        }
    };
    let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !is_http2 && !is_tunnel && (ends || connection.phase() != DrainPhase::Serving) {
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

async fn serve(
    gateway: &Shared,
    connection: &ConnectionState,
    table: &Table,
    mut head: Box<RequestHead>,
    body: RequestBody,
) -> Answered {
    let started = Instant::now();
    let record = Record::begin(&head, connection, &table.server, started);
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
    body_limits.bytes_max = bytes_max;
    let transport = record::transport(head.version);
    let route = &entry.route;
    let (id, call) = (route.id, draw_call_id());
    gateway.say(&ServerEvent::RequestStarted {
        at: started.into_std(),
        call,
        route: id,
        transport,
    });
    let mut underway = Underway::begin(gateway, connection, (call, id), started);

    rules::join_cookies(&mut head.headers);
    let trusted = &table.server.trusted_proxies;
    let caller =
        Caller::read(&route.priority, &route.key, &head.headers, connection.peer.ip(), trusted);
    let authority = head.uri.authority().map(Authority::as_str);
    let told = match &route.to {
        RouteEnd::Call(operation) => &operation.upstream_host,
        RouteEnd::Prepared(_) | RouteEnd::Responder(_) => &UpstreamHost::Upstream,
    };
    let Outbound { mut headers, host, request_id, limit } =
        headers::outbound(head.headers, authority, told, connection.peer, trusted);
    if is_tunnel {
        rules::say_websocket(&mut headers);
    }
    underway.record = record.map(|record| record.with_id(&request_id).on_route(route.id, call));
    let context = caller.context(call, limit.map(|limit| started + limit), &connection.cancel);
    let operation = match &route.to {
        RouteEnd::Call(operation) => operation,
        RouteEnd::Prepared(prepared) => {
            let unread = intake(body, body_limits);
            let mut answered = Answered::Ours { response: prepared.response(), unread };
            let took = started.elapsed();
            underway.answered(&mut answered, (Fate::Ok, 0), took, &request_id, Ending::default);
            return answered;
        }
        RouteEnd::Responder(responder) => {
            let request = RoutedRequest {
                route: &route.name,
                method: head.method,
                uri: head.uri,
                client: caller::client(&headers, connection.peer.ip(), trusted),
                headers,
                body: intake(body, body_limits).unwrap_or_default(),
                request_id: &request_id,
                context,
                upgrade: interim.filter(|_| is_tunnel).map(Upgrade::new),
            };
            // Boxed: calls carry no room for it.
            let (mut answered, fate) = Box::pin(respond(&**responder, route.id, request)).await;
            let took = started.elapsed();
            // Of its own there is a whole answer only where the responder's cannot be passed on.
            underway.answered(&mut answered, (fate, 0), took, &request_id, || Ending {
                cause: "it answered 101 to a request that asked for no other protocol".into(),
                ..Ending::default()
            });
            return answered;
        }
    };
    let params = operation.upstream.policy().params();
    let retry = params.retry.as_ref();
    // A connection may turn out to have been forgotten, the upstream refuse it unseen, or another
    // upstream have to be asked.
    let may_be_sent_twice = may_resend(&head.method, &headers, retry)
        || retry.is_some() && operation.upstream.protocol().transport().may_refuse()
        || matches!(operation.fallback, Some(Fallback::Upstream(_)));
    let kept_max = match (may_be_sent_twice, retry) {
        (false, _) => 0,
        (true, Some(params)) => params.replay_bytes_max,
        (true, None) => retry::Params::default().replay_bytes_max,
    };
    let is_stream = is_tunnel || operation.is_stream || seawall_http::is_stream(&headers);
    if is_stream || body_limits.rate_min == 0 {
        // However slow; `grace` is then how long it may be silent.
        body_limits.rate_min = 0;
        body_limits.grace = params.timeout.stream_idle;
    }
    let body = intake(body, body_limits).unwrap_or_default();
    let request = HttpRequest {
        method: head.method,
        uri,
        host,
        // What tells callers apart tells whose answer it is.
        is_personal: matches!(&route.key, KeySource::Header(name) if headers.contains(name)),
        headers,
        body: Replay::new(body, kept_max),
        is_stream,
        interim,
        is_cacheable: !is_tunnel,
        repeats: Repeats::Harmless,
        gathered_bytes_max: None,
        listener: None,
    };
    let reply = operation.call(&request, context).await;
    let took = started.elapsed();
    let failed = reply.error().cloned();
    let called = Called { route: route.id, operation, request: &request, key: caller.key };
    let (mut answered, fate, attempts) =
        sink::answer(reply, &called, connection, table, head.uri.path(), took);
    if route.rewrites_redirects {
        redirect::rewrite(answered.head().1, operation, &request, &head.uri);
    }
    underway.answered(&mut answered, (fate, attempts), took, &request_id, || match &failed {
        Some(error) => Ending::failed(error, operation.upstream.policy()),
        None => Ending { upstream: Some(operation.upstream.id()), ..Ending::default() },
    });
    if let Answered::Ours { unread, .. } = &mut answered
        && !request.body.is_empty()
    {
        *unread = Some(request.body.body());
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
    /// Path and query at the upstream, or as they were asked for where there is none.
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
    let at_upstream = match &entry.route.to {
        RouteEnd::Call(operation) => operation.uri(uri)?,
        RouteEnd::Prepared(_) | RouteEnd::Responder(_) => uri.clone(),
    };
    let bytes_max = entry.route.body_bytes_max.unwrap_or(table.server.limits.body_bytes_max);
    if length_min > bytes_max {
        return Err(Refused::BODY_TOO_LARGE);
    }
    Ok(Chosen { entry, uri: at_upstream, bytes_max })
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
