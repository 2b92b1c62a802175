//! From a job to a call: what is sent on each attempt.
//!
//! Does not know the client's connection. Every attempt is built anew from the same job; none
//! changes what the next one sends.

use http::uri::Authority;
use http::{Method, StatusCode, Uri, Version};
use seawall_call::{Answer, Attempt, CallError, Context, Permit};
use seawall_core::{CallId, CancelCell, Cause, Deadline, Fate, Fault, Origin, Step};
use seawall_http::server::Interim;
use seawall_http::{Body, HttpJudge, Replay, Request, RequestHead, Response, may_resend};
use seawall_policy::retry;
use seawall_wire::{Fields, deadline, name};
use tokio::time::Instant;

use crate::Route;
use crate::request::caller::Caller;

/// A request that is ready to be sent, as often as its policy says.
pub(crate) struct Job<'a> {
    /// The id of its call.
    pub(crate) call: CallId,
    /// The call for which it is made, if that is another one.
    pub(crate) origin: Option<&'a Origin<'a>>,
    pub(crate) route: &'a Route,
    pub(crate) method: Method,
    /// Path and query at the upstream.
    pub(crate) uri: Uri,
    /// The host that the upstream is told; `None` for its own.
    pub(crate) host: Option<Authority>,
    pub(crate) headers: Fields,
    pub(crate) body: Replay,
    /// When the client will no longer want an answer.
    pub(crate) deadline: Option<Instant>,
    pub(crate) retry: Option<&'a retry::Params>,
    pub(crate) caller: Caller,
    /// Whether its bodies are streams.
    pub(crate) is_stream: bool,
    /// Where the client is told what the upstream says before its answer.
    pub(crate) interim: Option<Interim>,
}

impl<'a> Job<'a> {
    /// Returns what its call brings with it.
    pub(crate) fn context<'c>(&self, cancel: &'c CancelCell) -> Context<'c>
    where
        'a: 'c,
    {
        let Caller { priority, key, caller_attempt, client } = self.caller;
        Context {
            call: Some(self.call),
            origin: self.origin,
            deadline: self.deadline.map(|at| Deadline::at(at.into_std())),
            priority,
            key,
            caller_attempt,
            client,
            ..Context::new(cancel)
        }
    }
}

/// Is what an upstream answers, with its place until the body has ended.
pub(crate) struct Sent {
    pub(crate) value: Response<Body>,
    pub(crate) fate: Fate,
    pub(crate) attempts: u32,
    pub(crate) permit: Permit,
}

/// Makes the call.
///
/// # Cancel safety
///
/// Dropping the future gives the call up; the reason is read from `cancel`.
pub(crate) async fn call(job: &Job<'_>, cancel: &CancelCell) -> Result<Sent, CallError<Fault>> {
    let context = job.context(cancel);
    let judge = HttpJudge::new(&job.method, &job.headers, job.retry, &job.body);
    let call = job.route.policy.call(context, &judge, |attempt| send(job, cancel, attempt));
    let (Answer { value, fate, attempts, .. }, permit) = call.await?;
    Ok(Sent { value, fate, attempts, permit })
}

async fn send(
    job: &Job<'_>,
    cancel: &CancelCell,
    mut attempt: Attempt,
) -> Result<Response<Body>, Fault> {
    attempt.is_stream = job.is_stream;
    let may_resend = || job.body.is_whole() && may_resend(&job.method, &job.headers, job.retry);
    let upstream = &job.route.target.upstream;
    let send = || {
        let make = || request(job, &attempt);
        upstream.send_or_resend(make, may_resend, &attempt, job.interim.as_ref())
    };
    let mut sent = send().await;
    // The upstream says that it has not looked at it: a stream that it had no room for, or a
    // connection that it was closing (RFC 9113, 8.7). That is no attempt yet; twice is one.
    if job.retry.is_some()
        && job.body.is_whole()
        && matches!(&sent, Err(fault) if fault.is_not_looked_at())
    {
        sent = send().await;
    }
    let result = match sent {
        // Where somebody asked for another protocol, what follows is a tunnel.
        Ok(response)
            if response.status() == StatusCode::SWITCHING_PROTOCOLS
                && job.headers.contains(name::UPGRADE) =>
        {
            Ok(response)
        }
        // What follows is not an answer.
        Ok(response) if response.status().is_informational() => {
            Err(Fault::upstream(Step::Head, Cause::Malformed))
        }
        sent => sent,
    };
    if let Err(fault) = &result {
        job.route.policy.attempt_faulted(&job.context(cancel), &attempt, fault);
    }
    result
}

/// Makes what one attempt sends.
fn request(job: &Job<'_>, attempt: &Attempt) -> Request<Body> {
    let mut headers = job.headers.clone();
    let left = attempt.call_deadline.remaining(Instant::now().into_std());
    deadline::write(&mut headers, left);
    // So that whoever comes next does not retry what is a retry already.
    headers.insert_number(name::SEAWALL_ATTEMPT, attempt.number.into());
    let head = RequestHead {
        method: job.method.clone(),
        uri: job.uri.clone(),
        version: Version::HTTP_11,
        headers,
        named_host: job.host.clone(),
    };
    Request::from_parts(head, job.body.body())
}
