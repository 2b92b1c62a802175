//! A request that is ready to be sent, as often as its policy says.
//!
//! Does not know: who asks. Every attempt is built anew from the same request; none changes what the
//! next one sends.

use std::sync::Arc;

use http::uri::Authority;
use http::{Method, StatusCode, Uri, Version};
use seawall_core::{Attempt, Cause, Fault, Step};
use seawall_http::server::Interim;
use seawall_http::{Body, HttpJudge, Replay, Request, RequestHead, Response, may_resend};
use seawall_policy::retry;
use seawall_wire::{Fields, deadline, name};
use tokio::time::Instant;

/// An HTTP request to an upstream.
pub struct HttpRequest {
    /// What is to be done.
    pub method: Method,
    /// Path and query at the upstream.
    pub uri: Uri,
    /// The host that the upstream is told; `None` for its own.
    pub host: Option<Authority>,
    /// The fields; the deadline and the attempt's number are added to each attempt.
    pub headers: Fields,
    /// The body.
    pub body: Replay,
    /// Whether its bodies are streams.
    pub is_stream: bool,
    /// Where a client is told what the upstream says before its answer.
    pub interim: Option<Interim>,
    /// Whether it may be sent again.
    pub repeats: Repeats,
    /// Whether the cache and other calls may answer it, as far as HTTP and the policy allow; never
    /// one that has a listener, is gathered, or may be sent again only if it was not seen.
    pub is_cacheable: bool,
    /// Whether the answer is for one caller, although the headers do not say so.
    pub is_personal: bool,
    /// How many bytes of the answer are read within the attempt, so that one that is cut off is
    /// tried again; one byte more says that there are more. `None`: the body streams.
    pub gathered_bytes_max: Option<usize>,
    /// Who hears of its attempts.
    pub listener: Option<Arc<dyn AttemptListener>>,
}

/// When a request may be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeats {
    /// If carrying it out twice does no harm, by its method, its key and the policy.
    #[default]
    Harmless,
    /// Only if the upstream has provably not seen it, whatever the policy says.
    Unseen,
}

/// Hears of the attempts of a request.
pub trait AttemptListener: Send + Sync {
    /// Hears that an attempt is sent.
    fn began(&self);

    /// Hears the head of its answer, or why there is none; nothing of one that is dropped before.
    fn ended(&self, result: Result<&Response<Body>, &Fault>);

    /// Hears that it is over, however it ended.
    fn over(&self);
}

impl HttpRequest {
    /// Makes a request without a body or headers.
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            host: None,
            headers: Fields::default(),
            body: Replay::new(Body::empty(), 0),
            is_stream: false,
            interim: None,
            repeats: Repeats::default(),
            is_cacheable: true,
            is_personal: false,
            gathered_bytes_max: None,
            listener: None,
        }
    }

    /// Returns who judges its attempts.
    pub(crate) fn judge<'a>(&'a self, retry: Option<&retry::Params>) -> HttpJudge<'a> {
        match self.repeats {
            Repeats::Harmless => HttpJudge::new(&self.method, &self.headers, retry, &self.body),
            // As if it were a POST whose key nobody trusts: that is repeated only if unseen.
            Repeats::Unseen => HttpJudge::new(&Method::POST, &self.headers, None, &self.body),
        }
    }

    /// Returns whether it may be sent again over a fresh connection, after one that had been
    /// forgotten.
    pub(crate) fn may_resend(&self, retry: Option<&retry::Params>) -> bool {
        self.repeats == Repeats::Harmless
            && self.body.is_whole()
            && may_resend(&self.method, &self.headers, retry)
    }

    /// Checks what is answered before its body.
    pub(crate) fn check(&self, response: Response<Body>) -> Result<Response<Body>, Fault> {
        let status = response.status();
        if !status.is_informational() {
            return Ok(response);
        }
        // Where somebody asked for another protocol, what follows is a tunnel; else it is not an
        // answer.
        let is_tunnel =
            status == StatusCode::SWITCHING_PROTOCOLS && self.headers.contains(name::UPGRADE);
        if is_tunnel { Ok(response) } else { Err(Fault::upstream(Step::Head, Cause::Malformed)) }
    }

    /// Makes what one attempt sends.
    pub(crate) fn of_attempt(&self, attempt: &Attempt) -> Request<Body> {
        let mut headers = self.headers.clone();
        let left = attempt.call_deadline.remaining(Instant::now().into_std());
        deadline::write(&mut headers, left);
        // So that whoever comes next does not retry what is a retry already.
        headers.insert_number(name::SEAWALL_ATTEMPT, attempt.number.into());
        let head = RequestHead {
            method: self.method.clone(),
            uri: self.uri.clone(),
            version: Version::HTTP_11,
            headers,
            named_host: self.host.clone(),
        };
        Request::from_parts(head, self.body.body())
    }
}
