//! From a job to a call: an HTTP request that the line fills, through a policy.
//!
//! Does not know: the journal, the window. Invariant: a line is not dead because it was refused, or
//! had to wait, as long as nobody can have seen it or seeing it twice does no harm: it waits and is
//! sent later. An answer is an answer, unless it says that nothing was done (429).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use http_body_util::BodyExt;
use seawall_call::{CallError, Context};
use seawall_core::{CancelCell, CancelReason, Cause, Fate, Fault, Outcome, RetryDenied, Side};
use seawall_http::{Body, Replay, Response, is_repeatable};
use seawall_upstream::{AttemptListener, HttpRequest, Repeats, Upstream, in_full};
use seawall_wire::Fields;
use seawall_wire::template::{Template, TemplateFlaw};
use seawall_wire::verdict::{self, Pushback};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::job::{Job, LineOutcome};
use crate::template::{self, Values};
use crate::waiting::{Calls, Waiting, how_long};

/// Sends lines to an HTTP service through a policy.
///
/// Each request has the line's key as `Idempotency-Key`, the same on every attempt and after a
/// crash. A status of 2xx is an answer; any other but 429, and every failure that the policy does
/// not get over with all its attempts, puts the line into the dead letter file. A line that was
/// refused, whose connection was, or whose repeat was, waits ([`Self::give_up`]).
pub struct Forward {
    upstream: Upstream,
    method: Method,
    path: Template,
    /// Nothing for the line itself.
    body: Option<template::Body>,
    headers: HeaderMap,
    answers: Answers,
    answer_bytes_max: usize,
    give_up: Option<Duration>,
    waiting: Waiting,
    calls: Arc<Calls>,
    is_at_most_once: bool,
    cancel: CancelCell,
    drain: CancellationToken,
}

/// Says how an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// As an object with the line's number (`seq`), the `status` and the `answer`: as JSON if it is
    /// JSON, else as a string, or as `answer_b64` if it is no text.
    #[default]
    Numbered,
    /// As it came, without the newline at its end. One that has another newline fails.
    Raw,
}

seawall_core::words!(Answers { Numbered => "numbered", Raw => "raw" });

/// Says what is wrong with where lines are to go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("send lines to `{path}`: {flaw}")]
pub struct BadForward {
    path: String,
    /// What is wrong, and where in the path.
    pub flaw: TemplateFlaw,
}

/// Is a request that a line has filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Where it goes: a path, perhaps with a query.
    pub target: Uri,
    /// What is sent.
    pub body: Bytes,
}

impl Forward {
    /// Sends lines to a path of the upstream, which may have places in it that a line fills:
    /// `/v1/cities/{line}`, `/v1/cities?name={name}` if lines are JSON objects with that member.
    ///
    /// Values are percent-encoded; one that would leave its segment (`..`) is refused, and its line
    /// goes to the dead letter file. `{seq}` is the line's number from 0, `{offset}` that of its
    /// first byte. A GET, HEAD, DELETE or OPTIONS has no body; any other has the line, unless
    /// [`Self::body`] says something else.
    ///
    /// # Errors
    ///
    /// Fails if the path is none.
    pub fn new(upstream: Upstream, method: Method, path: &str) -> Result<Self, BadForward> {
        let bad = |flaw| BadForward { path: path.to_owned(), flaw };
        let template = Template::parse(path).map_err(bad)?;
        // There is no client that could leave: a call is only dropped when the run is.
        let cancel = CancelCell::default();
        cancel.set(CancelReason::Shutdown);
        let bodiless = [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS];
        let (body, headers) = match bodiless.contains(&method) {
            true => (Some(template::Body::parse("")), HeaderMap::new()),
            false => {
                let text = HeaderValue::from_static("text/plain; charset=utf-8");
                (None, HeaderMap::from_iter([(CONTENT_TYPE, text)]))
            }
        };
        Ok(Self {
            upstream,
            method,
            path: template,
            body,
            headers,
            answers: Answers::default(),
            answer_bytes_max: 1024 * 1024,
            give_up: None,
            waiting: Waiting::default(),
            calls: Arc::default(),
            is_at_most_once: false,
            cancel,
            drain: CancellationToken::new(),
        })
    }

    /// Sends this as the body, with places in it that a line fills.
    ///
    /// A place is `{line}`, `{seq}`, `{offset}` or, if lines are JSON objects, a member: `{name}`,
    /// `{address.city}`; a string without its quotes, all else as it stands. With `:json` behind
    /// its name (`{line:json}`) it is a JSON value, and cannot break out of a document around it.
    /// Other braces stand for themselves.
    #[must_use]
    pub fn body(mut self, template: &str) -> Self {
        self.body = Some(template::Body::parse(template));
        self
    }

    /// Sends a header with each, in place of one that has that name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says how answers are written.
    #[must_use]
    pub fn answers(mut self, answers: Answers) -> Self {
        self.answers = answers;
        self
    }

    /// Sets how long an answer may be (default: 1 MiB).
    #[must_use]
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.answer_bytes_max = bytes;
        self
    }

    /// Says for how long a line waits at most that may be sent again without harm and cannot be now:
    /// the policy refuses it (the breaker is open, the rate or the budget is spent), connections are
    /// refused, or the upstream answers 429. Default: as long as it takes.
    #[must_use]
    pub fn give_up(mut self, after: Option<Duration>) -> Self {
        self.give_up = after;
        self
    }

    /// Returns how many requests the upstream has at the moment: lines that wait for a place, a rate
    /// or another attempt are not among them.
    pub fn in_flight(&self) -> usize {
        self.calls.now()
    }

    /// Returns how many lines wait at the moment, and why the last of them does; nothing if none
    /// waits.
    pub fn waiting(&self) -> Option<(usize, String)> {
        self.waiting.now()
    }

    /// Waits no longer for the policy once this is cancelled: a line that it has refused to send is
    /// postponed. Give it [`Control::drain`](crate::Control::drain), so that a run that is told to
    /// stop does not wait until the upstream is back.
    #[must_use]
    pub fn drain(mut self, drain: CancellationToken) -> Self {
        self.drain = drain;
        self
    }

    /// Sends again only what provably was not seen, whatever the policy says of repeating.
    #[must_use]
    pub fn at_most_once(mut self) -> Self {
        self.is_at_most_once = true;
        self
    }

    /// Returns what is sent as headers with every line, besides its key.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the names of the places that a line fills.
    pub fn places(&self) -> Vec<&str> {
        let path = self.path.names().iter().map(|name| name.name.as_str());
        path.chain(self.body.iter().flat_map(template::Body::names)).collect()
    }

    /// Fills in what [`Self::send`] would send; sends nothing.
    ///
    /// # Errors
    ///
    /// Says which place the line has no value for, or a value that cannot stand there.
    pub fn fill(&self, job: &Job, line: &[u8]) -> Result<Filled, String> {
        let values = Values::new(job, line);
        let mut texts = Vec::new();
        for name in self.path.names() {
            texts.push((name.name.as_str(), values.text(&name.name)?));
        }
        let value_of =
            |name: &str| texts.iter().find(|(one, _)| *one == name).map(|(_, text)| text.as_str());
        let filled = self.path.fill(value_of).map_err(|flaw| flaw.to_string())?;
        let target = Uri::try_from(filled).map_err(|error| format!("no path to ask: {error}"))?;
        let body = match &self.body {
            None => line.to_vec(),
            Some(template) => template.fill(&values)?,
        };
        Ok(Filled { target, body: body.into() })
    }

    /// Sends one line.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::send`].
    pub async fn call(&self, job: &Job) -> LineOutcome {
        self.send(job, &job.line).await
    }

    /// Sends what was made of a line, with the key of the line itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up. Whether the upstream has seen the line is not known.
    pub async fn send(&self, job: &Job, line: &[u8]) -> LineOutcome {
        let mut headers = self.headers.clone();
        let key = HeaderValue::from_str(&job.key()).expect("a key is letters and digits");
        headers.insert(HeaderName::from_static("idempotency-key"), key);
        let Filled { target, body } = match self.fill(job, line) {
            Ok(filled) => filled,
            Err(why) => return LineOutcome::dead(why).after(0, 0),
        };
        let seen = Arc::new(Seen { calls: Arc::clone(&self.calls), maybe: AtomicU32::new(0) });
        let request = HttpRequest {
            headers: Fields::from(&headers),
            body: Replay::new(Body::full(body), 0),
            repeats: if self.is_at_most_once { Repeats::Unseen } else { Repeats::Harmless },
            // Every line is sent, and has its own answer.
            is_cacheable: false,
            // Within the attempt: an answer that is cut off is tried again, as a failed one is.
            gathered_bytes_max: Some(self.answer_bytes_max),
            listener: Some(Arc::clone(&seen) as Arc<dyn AttemptListener>),
            ..HttpRequest::new(self.method.clone(), target)
        };
        let began = Instant::now();
        let (mut attempts, mut times) = (0, 0);
        loop {
            let reply = self.upstream.call(&request, Context::new(&self.cancel)).await;
            attempts += reply.attempts();
            let sent = Sent { attempts, seen: seen.maybe.load(Relaxed) };
            let denied = reply.denied();
            let (held_up, outcome) = match reply.into_response() {
                Ok((response, permit)) => {
                    // The answer is here; a line that waits holds no place.
                    drop(permit);
                    let held_up = self.after_answer(&response, denied, &headers, &sent);
                    (held_up, self.answered(job, response, attempts).await)
                }
                Err(error) => {
                    let held_up = self.after_error(&error, &headers, &sent);
                    (held_up, LineOutcome::dead(in_words(&error)).after(attempts, 0))
                }
            };
            let Some(HeldUp { why, retry_after }) = held_up else { return outcome };
            let wait = how_long(times, job.sequence).max(retry_after.unwrap_or_default());
            times += 1;
            if self.give_up.is_some_and(|limit| began.elapsed() + wait > limit) {
                return outcome;
            }
            let _waits = self.waiting.begin(&why);
            tokio::select! {
                () = sleep(wait) => {}
                // What was sent of it may be sent again: else it would not wait.
                () = self.drain.cancelled(), if !self.is_at_most_once => {
                    return LineOutcome::postponed();
                }
            }
        }
    }

    /// Says why a line waits that has an answer; nothing if it is one.
    fn after_answer(
        &self,
        response: &Response<Body>,
        denied: Option<RetryDenied>,
        headers: &HeaderMap,
        sent: &Sent,
    ) -> Option<HeldUp> {
        let (status, head) = (response.status(), response.headers());
        if self.is_at_most_once || verdict::pushback(head) == Some(Pushback::Never) {
            return None;
        }
        let retry_after = match verdict::of_head(status, head, SystemTime::now) {
            Outcome::Success => return None,
            Outcome::Overload { retry_after, .. } => retry_after,
            _ => None,
        };
        let may_wait = match status {
            // It says that it has done nothing, and to come again.
            StatusCode::TOO_MANY_REQUESTS => self.does_no_harm(headers, sent),
            _ => {
                let had_to_wait = denied == Some(RetryDenied::Deadline) && retry_after.is_some();
                (had_to_wait || is_refused(denied)) && self.has_attempts(headers, sent)
            }
        };
        may_wait.then(|| HeldUp { why: format!("status {}", status.as_u16()), retry_after })
    }

    /// Says why a line waits whose call has failed; nothing if the line has.
    fn after_error(
        &self,
        error: &CallError<Arc<Fault>>,
        headers: &HeaderMap,
        sent: &Sent,
    ) -> Option<HeldUp> {
        let is_unsent = error.inner().is_some_and(|fault| {
            let is_theirs = fault.side == Side::Upstream || fault.cause == Cause::Exhausted;
            is_theirs && fault.sent == seawall_core::Sent::Unsent
        });
        let may_wait = match error.fate() {
            Fate::Cancelled => false,
            Fate::Failed | Fate::TimedOut if is_unsent || error.attempts() == 0 => {
                self.does_no_harm(headers, sent)
            }
            Fate::Failed | Fate::TimedOut => {
                is_refused(error.denied()) && self.has_attempts(headers, sent)
            }
            // It was not even tried, or not once more.
            _ => self.does_no_harm(headers, sent),
        };
        may_wait.then(|| HeldUp { why: in_words(error), retry_after: error.retry_after() })
    }

    /// Returns whether a line may be sent again that may have been sent before.
    fn does_no_harm(&self, headers: &HeaderMap, sent: &Sent) -> bool {
        let params = self.upstream.policy().params();
        let is_repeatable = || is_repeatable(&self.method, headers, params.retry.as_ref());
        sent.seen == 0 || (!self.is_at_most_once && is_repeatable())
    }

    /// Returns whether it may be, and is not one that fails whenever it is sent.
    fn has_attempts(&self, headers: &HeaderMap, sent: &Sent) -> bool {
        let params = self.upstream.policy().params();
        let attempts_max = params.retry.as_ref().map_or(1, |retry| retry.attempts_max);
        sent.attempts < attempts_max && self.does_no_harm(headers, sent)
    }

    async fn answered(&self, job: &Job, response: Response<Body>, attempts: u32) -> LineOutcome {
        let status = response.status();
        let bytes = match response.into_body().collect().await {
            Ok(gathered) => gathered.to_bytes(),
            Err(fault) => return LineOutcome::dead(fault).after(attempts, status.as_u16()),
        };
        let outcome = if !status.is_success() {
            let said = String::from_utf8_lossy(&bytes[..bytes.len().min(SAID_BYTES)]);
            LineOutcome::dead(format!("status {}: {}", status.as_u16(), said.trim()))
        } else if bytes.len() > self.answer_bytes_max {
            let max = self.answer_bytes_max;
            LineOutcome::dead(format!("the answer has more than {max} bytes"))
        } else {
            LineOutcome::output(self.written(job, status.as_u16(), &bytes))
        };
        outcome.after(attempts, status.as_u16())
    }

    fn written(&self, job: &Job, status: u16, bytes: &[u8]) -> Vec<u8> {
        if self.answers == Answers::Raw {
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            return bytes.strip_suffix(b"\r").unwrap_or(bytes).to_vec();
        }
        let text = std::str::from_utf8(bytes).ok();
        let json = text.and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        let numbered = Numbered {
            seq: job.sequence,
            status,
            answer: match (json, text) {
                (Some(json), _) => Some(AnswerText::Json(json)),
                (None, Some(text)) => Some(AnswerText::Text(text)),
                (None, None) => None,
            },
            answer_b64: text.is_none().then(|| BASE64.encode(bytes)),
        };
        let mut line = serde_json::to_vec(&numbered).expect("numbers and strings are JSON");
        // Between the parts of JSON a newline is a space; within a string there is none.
        line.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        line
    }
}

/// What has been sent of a line so far.
#[derive(Debug, Default)]
struct Sent {
    attempts: u32,
    /// How many of them the upstream may have seen and acted upon.
    seen: u32,
}

/// Counts the attempts of a line.
struct Seen {
    calls: Arc<Calls>,
    /// How many of them the upstream may have seen and acted upon.
    maybe: AtomicU32,
}

impl AttemptListener for Seen {
    fn began(&self) {
        self.calls.begin();
        // Until it is known that it was not: one that is dropped may have been.
        self.maybe.fetch_add(1, Relaxed);
    }

    fn ended(&self, result: Result<&Response<Body>, &Fault>) {
        let is_undone = match result {
            Ok(response) => response.status() == StatusCode::TOO_MANY_REQUESTS,
            Err(fault) => fault.sent == seawall_core::Sent::Unsent,
        };
        self.maybe.fetch_sub(u32::from(is_undone), Relaxed);
    }

    fn over(&self) {
        self.calls.end();
    }
}

/// Why a line waits.
struct HeldUp {
    why: String,
    /// When it is worth trying again, if that is known.
    retry_after: Option<Duration>,
}

/// Returns whether a repeat was refused for the others' sake, and may be made later.
fn is_refused(denied: Option<RetryDenied>) -> bool {
    use RetryDenied::{Breaker, Budget, Bulkhead, InFlight, Layered, Shed};
    matches!(denied, Some(Budget | Breaker | Bulkhead | Shed | InFlight | Layered))
}

/// Says an error with all that it came from.
fn in_words(error: &CallError<Arc<Fault>>) -> String {
    match error.inner().and_then(|fault| fault.source.as_deref()) {
        Some(source) => format!("{error}: {}", in_full(source)),
        None => error.to_string(),
    }
}

#[derive(Serialize)]
struct Numbered<'a> {
    seq: u64,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_b64: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnswerText<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// How much of a failure's body is kept.
const SAID_BYTES: usize = 200;
