//! From an outcome to an answer: what the upstream said, or what stood in its way.
//!
//! Does not know sockets or bodies. An answer of the upstream keeps its status, whatever it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Version};
use seawall_call::{CallError, Policy};
use seawall_core::{Cause, Fate, Fault, Left, RouteId, Side};
use seawall_http::Response;
use seawall_policy::rate::{RateAlgorithm, RemainingQuota};
use seawall_upstream::{HttpRequest, Operation, Reply, to_problem};
use seawall_wire::headers as rules;
use seawall_wire::{Digits, Fields, Name, ProblemDetails, Value, name};

use crate::answer::answered::Answered;
use crate::request::refused::shortened;
use crate::route::Table;
use seawall_http::server::ConnectionState;

/// The call that a route has made.
pub(crate) struct Called<'a> {
    pub(crate) route: RouteId,
    pub(crate) operation: &'a Operation,
    pub(crate) request: &'a HttpRequest,
    /// Who asked, where a rate limit counts each apart.
    pub(crate) key: Option<u64>,
}

/// Makes the answer to a call; says its fate and how many attempts it took.
pub(crate) fn answer(
    reply: Reply,
    called: &Called<'_>,
    connection: &ConnectionState,
    table: &Table,
    path: &str,
    took: Duration,
) -> (Answered, Fate, u32) {
    let (fate, attempts) = (reply.fate(), reply.attempts());
    let upstream = &called.operation.upstream;
    let mut answered = match reply {
        Reply::Streaming { mut response, mut permit, .. } => {
            rules::strip_response(response.headers_mut());
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                rules::say_websocket(response.headers_mut());
                permit.give_back();
            }
            // The upstream's version is a matter between it and us (RFC 9110, 2.5).
            response.head_mut().version = Version::HTTP_11;
            let permit = Some(permit);
            Answered::Streaming { response, route: called.route, permit, record: None }
        }
        Reply::Whole { response, .. } => Answered::Ours { response, unread: None },
        Reply::Failed(error) => {
            let response = failure(&error, fate, called, connection, path);
            Answered::Ours { response, unread: None }
        }
    };
    let (_, answer_headers) = answered.head();
    if let Some(room) = upstream.policy().room(called.key) {
        rate_headers(answer_headers, upstream.policy(), room);
    }
    if table.server.outcome_header {
        let text = outcome_header(fate, upstream.name(), attempts, took);
        let value = Value::new(&text).unwrap_or_else(|| fate.as_str().into());
        answer_headers.insert(name::SEAWALL_OUTCOME, value);
    } else {
        // An upstream may be a Seawall too; what it did is not what we did.
        answer_headers.remove(name::SEAWALL_OUTCOME);
    }
    (answered, fate, attempts)
}

/// Says what is left of the rate limit (draft-ietf-httpapi-ratelimit-headers-09), in place of what
/// the upstream says of its own: a client can only go by one.
fn rate_headers(headers: &mut Fields, policy: &Policy, room: RemainingQuota) {
    let seconds = |duration: Duration| duration.as_secs_f64().ceil();
    let params = policy.params();
    let window = params.rate.as_ref().map_or(Duration::ZERO, |rate| match rate.kind {
        RateAlgorithm::FixedWindow(window) | RateAlgorithm::SlidingWindow(window) => window,
        RateAlgorithm::TokenBucket => {
            let seconds = f64::from(rate.burst) / rate.per_second;
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        }
    });
    let quota = format!("\"default\";q={};w={}", room.limit, seconds(window));
    let left = format!("\"default\";r={};t={}", room.remaining, seconds(room.reset));
    for (name, value) in [(RATE_LIMIT_POLICY, quota), (RATE_LIMIT, left)] {
        // Digits and quotes can stand in a header.
        if let Some(value) = Value::new(value.as_bytes()) {
            headers.insert(name, value);
        }
    }
}

/// Writes `ok; upstream=weather-api; attempts=2; total=231ms`.
fn outcome_header(fate: Fate, upstream: &str, attempts: u32, took: Duration) -> Vec<u8> {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // Every answer has this header, and `write!` would take as long as all the rest of it.
    [
        fate.as_str().as_bytes(),
        b"; upstream=",
        upstream.as_bytes(),
        b"; attempts=",
        Digits::of(attempts.into()).as_bytes(),
        b"; total=",
        Digits::of(took).as_bytes(),
        b"ms",
    ]
    .concat()
}

/// Tells the client why there is no answer.
fn failure(
    error: &CallError<Arc<Fault>>,
    fate: Fate,
    called: &Called<'_>,
    connection: &ConnectionState,
    path: &str,
) -> Response<Bytes> {
    let problem = match error {
        CallError::Failed { error: fault, .. } if fault.side == Side::Client => ProblemDetails {
            upstream: Some(called.operation.upstream.name()),
            attempts: Some(error.attempts()),
            ..of_client(fault.cause, connection)
        },
        _ => to_problem(error, called.operation.upstream.name()),
    };
    let request_id = called.request.headers.get(name::X_REQUEST_ID).and_then(Value::to_str);
    let instance = shortened(path);
    Response::problem(&ProblemDetails { instance, fate: Some(fate), request_id, ..problem })
}

/// Says what the client did wrong with its body.
fn of_client(cause: Cause, connection: &ConnectionState) -> ProblemDetails<'static> {
    let (word, status, title) = match cause {
        Cause::TooLarge => ("body-too-large", 413, "the body is too large"),
        Cause::TooSlow => {
            connection.judge(Left::BodyTooSlow);
            ("body-too-slow", 408, "the body came too slowly")
        }
        Cause::Truncated => ("body-truncated", 400, "the body ended too early"),
        _ => ("malformed-request", 400, "the body violates the protocol"),
    };
    ProblemDetails { word, title: title.into(), status, ..ProblemDetails::default() }
}

const RATE_LIMIT: Name<'static> = Name::of("ratelimit");
const RATE_LIMIT_POLICY: Name<'static> = Name::of("ratelimit-policy");
