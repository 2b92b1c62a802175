//! From an outcome to an answer: what the upstream said, or what stood in its way.
//!
//! Does not know sockets or bodies. An answer of the upstream keeps its status, whatever it is.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Version};
use seawall_call::{CallError, Policy};
use seawall_core::{Cause, Fate, Fault, Left, Phase, Side};
use seawall_http::{HeadTooLarge, Response};
use seawall_policy::rate::{Kind, Room};
use seawall_wire::headers as rules;
use seawall_wire::{Digits, Fields, Name, Value, name};

use crate::answer::problem::Problem;
use crate::call::ended::Ended;
use crate::call::forward::Job;
use crate::request::refused::shortened;
use crate::request::source::Answered;
use crate::route::Table;
use seawall_http::server::ConnectionState;

/// Makes the answer to a call; says its fate and how many attempts it took.
pub(crate) fn answer(
    ended: Ended,
    job: &Job<'_>,
    link: &ConnectionState,
    table: &Table,
    path: &str,
    took: Duration,
) -> (Answered, Fate, u32) {
    let (fate, attempts) = (ended.fate(), ended.attempts());
    let mut answered = match ended {
        Ended::Upstream { mut response, mut permit, .. } => {
            rules::strip_response(response.headers_mut());
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                rules::say_websocket(response.headers_mut());
                permit.give_back();
            }
            // The upstream's version is a matter between it and us (RFC 9110, 2.5).
            response.head_mut().version = Version::HTTP_11;
            Answered::Upstream { response, route: job.route.id, permit, record: None }
        }
        Ended::Ready { response, .. } => Answered::Ours { response, unread: None },
        Ended::Failed(error) => {
            let response = failure(&error, fate, job, link, path);
            Answered::Ours { response, unread: None }
        }
    };
    let (_, answer_headers) = answered.head();
    if let Some(room) = job.route.policy.room(job.caller.key) {
        rate_headers(answer_headers, &job.route.policy, room);
    }
    if table.server.outcome_header {
        let text = outcome_header(fate, &job.route.target.name, attempts, took);
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
fn rate_headers(headers: &mut Fields, policy: &Policy, room: Room) {
    let seconds = |duration: Duration| duration.as_secs_f64().ceil();
    let params = policy.params();
    let window = params.rate.as_ref().map_or(Duration::ZERO, |rate| match rate.kind {
        Kind::FixedWindow(window) | Kind::SlidingWindow(window) => window,
        Kind::TokenBucket => {
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
    error: &CallError<Fault>,
    fate: Fate,
    job: &Job<'_>,
    link: &ConnectionState,
    path: &str,
) -> Response<Bytes> {
    let upstream = &*job.route.target.name;
    let what = match error {
        CallError::Failed { error, .. } if error.side == Side::Client => {
            of_client(error.cause, link)
        }
        _ => of_call(error, upstream),
    };
    let request_id = job.headers.get(name::X_REQUEST_ID).and_then(Value::to_str);
    Problem {
        word: what.word,
        title: what.title,
        status: what.status,
        detail: what.detail,
        instance: shortened(path),
        upstream: Some(upstream),
        fate: Some(fate),
        attempts: Some(error.attempts()),
        retry_after: error.retry_after(),
        request_id,
    }
    .response()
}

struct What<'a> {
    word: &'static str,
    title: Cow<'a, str>,
    status: u16,
    detail: Cow<'a, str>,
}

/// Says what the client did wrong with its body.
fn of_client(cause: Cause, link: &ConnectionState) -> What<'static> {
    let (word, status, title) = match cause {
        Cause::TooLarge => ("body-too-large", 413, "the body is too large"),
        Cause::TooSlow => {
            link.judge(Left::BodyTooSlow);
            ("body-too-slow", 408, "the body came too slowly")
        }
        Cause::Truncated => ("body-truncated", 400, "the body ended too early"),
        _ => ("malformed-request", 400, "the body violates the protocol"),
    };
    What { word, title: title.into(), status, detail: "".into() }
}

/// Says what came between the call and its answer.
fn of_call<'a>(error: &CallError<Fault>, upstream: &str) -> What<'a> {
    match error {
        CallError::BreakerOpen { retry_after, .. } => What {
            word: "breaker-open",
            title: format!("{upstream}: circuit breaker open").into(),
            status: 503,
            detail: format!("next probe in {}", seconds(*retry_after)).into(),
        },
        CallError::QueueFull => What {
            word: "bulkhead-full",
            title: format!("{upstream}: concurrency limit reached").into(),
            status: 503,
            detail: "all slots are in use and the queue is full".into(),
        },
        CallError::QueueTimeout { waited, .. } => What {
            word: "bulkhead-full",
            title: format!("{upstream}: concurrency limit reached").into(),
            status: 503,
            detail: format!("no slot became free within {}", seconds(*waited)).into(),
        },
        CallError::Shed { priority, .. } => What {
            word: "shed",
            title: "server overloaded".into(),
            status: 503,
            detail: format!("requests of {} priority are being shed", priority.as_str()).into(),
        },
        CallError::RateLimited { retry_after } => What {
            word: "rate-limited",
            title: format!("{upstream}: rate limit exceeded").into(),
            status: 429,
            detail: format!("try again in {}", seconds(*retry_after)).into(),
        },
        CallError::TimedOut { phase, .. } => What {
            word: "timed-out",
            title: format!("{upstream} did not answer in time").into(),
            status: 504,
            detail: match phase {
                Phase::Queue => "timed out while waiting in the queue",
                Phase::Backoff => "timed out between two attempts",
                Phase::Connect => "no connection could be opened in time",
                Phase::Attempt => "the last attempt took too long",
                Phase::Total | Phase::Body => "the call took too long",
            }
            .into(),
        },
        CallError::Failed { error, .. } => of_fault(error, upstream),
        _ => What {
            word: "upstream-failed",
            title: format!("no valid response from {upstream}").into(),
            status: 502,
            detail: "".into(),
        },
    }
}

/// Says what the last attempt failed of, without the words of any library.
fn of_fault<'a>(fault: &Fault, upstream: &str) -> What<'a> {
    let detail = format!("{} at {}", fault.cause.as_str(), fault.step.as_str()).into();
    if let Some(limits) = fault.source.as_ref().and_then(|source| source.downcast_ref()) {
        let HeadTooLarge { fields, bytes } = limits;
        return What {
            word: "answer-head-too-large",
            title: format!("the response head of {upstream} exceeds a limit of this server").into(),
            status: 502,
            detail: format!(
                "it has more than {fields} fields or {bytes} bytes: `answer_headers` and \
                 `answer_head` of [upstream.{upstream}]"
            )
            .into(),
        };
    }
    match (fault.side, fault.cause) {
        (_, Cause::TimedOut) => What {
            word: "timed-out",
            title: format!("{upstream} did not answer in time").into(),
            status: 504,
            detail,
        },
        (Side::Us, _) | (_, Cause::Exhausted) => What {
            word: "exhausted",
            title: "this server is out of resources for the call".into(),
            status: 503,
            detail,
        },
        _ => What {
            word: "upstream-failed",
            title: format!("no valid response from {upstream}").into(),
            status: 502,
            detail,
        },
    }
}

/// Writes a duration as people read it: `3.1 s`.
fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

const RATE_LIMIT: Name<'static> = Name::of("ratelimit");
const RATE_LIMIT_POLICY: Name<'static> = Name::of("ratelimit-policy");
