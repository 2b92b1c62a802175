//! Why a call has no answer: for a client, and for a log.
//!
//! Does not know requests. A client is never told an error's own text.

use std::error::Error;
use std::sync::Arc;

use seawall_call::CallError;
use seawall_core::{Cause, Fault, Side};
use seawall_http::HeadTooLarge;
use seawall_wire::ProblemDetails;

/// Says for a client why its call to an upstream has no answer.
pub fn to_problem<'a>(error: &CallError<Arc<Fault>>, upstream: &'a str) -> ProblemDetails<'a> {
    let problem = error.to_problem(upstream);
    match error {
        CallError::Failed { error, .. } => of_fault(error, upstream, problem),
        _ => problem,
    }
}

/// Says what the last attempt failed of, without the words of any library.
fn of_fault<'a>(
    fault: &Fault,
    upstream: &'a str,
    problem: ProblemDetails<'a>,
) -> ProblemDetails<'a> {
    let detail = format!("{} at {}", fault.cause.as_str(), fault.step.as_str()).into();
    if let Some(limits) = fault.source.as_ref().and_then(|source| source.downcast_ref()) {
        let HeadTooLarge { fields, bytes } = limits;
        return ProblemDetails {
            word: "answer-head-too-large",
            title: format!("the response head of {upstream} exceeds a limit of this server").into(),
            detail: format!(
                "it has more than {fields} fields or {bytes} bytes: `answer_headers` and \
                 `answer_head` of [upstream.{upstream}]"
            )
            .into(),
            ..problem
        };
    }
    match (fault.side, fault.cause) {
        (_, Cause::TimedOut) => ProblemDetails {
            word: "timed-out",
            title: format!("{upstream} did not answer in time").into(),
            status: 504,
            detail,
            ..problem
        },
        (Side::Us, _) | (_, Cause::Exhausted) => ProblemDetails {
            word: "exhausted",
            title: "this server is out of resources for the call".into(),
            status: 503,
            detail,
            ..problem
        },
        _ => ProblemDetails { detail, ..problem },
    }
}

/// Writes an error with the errors underneath, each once.
pub fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        // Many an error repeats the one underneath.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = source.source();
    }
    text
}
