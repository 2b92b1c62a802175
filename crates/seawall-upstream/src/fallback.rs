//! What is answered when a call has failed: something prepared, or another upstream's word.
//!
//! Does not know why the call failed. Invariants: a caller is told of its own mistakes, never
//! something prepared; a request is sent to another upstream only if the first one cannot have
//! carried it out, or if twice does no harm.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use seawall_call::Context;
use seawall_core::{Fate, Origin};
use seawall_http::{Response, is_repeatable};
use seawall_policy::Params;
use seawall_wire::name;

use crate::{HttpRequest, Repeats, Reply, Upstream, UpstreamHost, UpstreamNames};

/// What is answered when a call has failed.
#[derive(Clone)]
pub enum Fallback {
    /// Something that was prepared.
    Prepared(Prepared),
    /// What another upstream says, asked the same.
    Upstream(Upstream),
}

/// An answer that was prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its status.
    pub status: StatusCode,
    /// What its body is.
    pub content_type: HeaderValue,
    /// Its body.
    pub body: Bytes,
}

/// Answers in the place of a call that has failed, if there is something to say.
///
/// # Cancel safety
///
/// Dropping the future gives the call to the other upstream up.
pub(crate) async fn stand_in(
    names: &UpstreamNames<'_>,
    fallback: &Fallback,
    reply: Reply,
    request: &HttpRequest,
    context: Context<'_>,
) -> Reply {
    let policy = names.upstream.policy();
    let params = policy.params();
    if !reply.may_be_replaced(&params) {
        return reply;
    }
    let (before, attempts) = (reply.fate(), reply.attempts());
    let instead = match fallback {
        Fallback::Prepared(prepared) => {
            let response = prepared.response();
            Some(Reply::Whole { response, fate: Fate::Fallback, attempts })
        }
        Fallback::Upstream(other) => {
            other_reply(names, other, attempts, request, &params, context).await
        }
    };
    match instead {
        Some(instead) => {
            policy.fell_back(&context, before);
            instead
        }
        None => reply,
    }
}

/// Asks another upstream; nothing if it may not be asked, or does no better.
async fn other_reply(
    names: &UpstreamNames<'_>,
    other: &Upstream,
    attempts: u32,
    request: &HttpRequest,
    params: &Params,
    context: Context<'_>,
) -> Option<Reply> {
    let HttpRequest { method, headers, body, repeats, .. } = request;
    let is_harmless = attempts == 0
        || *repeats == Repeats::Harmless && is_repeatable(method, headers, params.retry.as_ref());
    if !is_harmless || !body.is_whole() {
        return None;
    }
    let again = HttpRequest {
        method: method.clone(),
        uri: request.uri.clone(),
        // A name that is set is the first upstream's.
        host: match names.told {
            UpstreamHost::Keep => request.host.clone(),
            UpstreamHost::Upstream | UpstreamHost::Named(_) => None,
        },
        headers: headers.clone(),
        body: body.again(),
        interim: None,
        listener: request.listener.clone(),
        ..*request
    };
    // A call of its own, made for the one that has failed.
    let trace = context.origin.and_then(|origin| origin.trace);
    let origin = Origin { parent: context.call, trace, bag: None };
    let context = Context { call: None, origin: Some(&origin), ..context };
    match Reply::from(other.send(&again, context).await) {
        Reply::Streaming { response, permit, fate, attempts: more, denied }
            if !fate.is_failure() =>
        {
            let attempts = attempts.saturating_add(more);
            Some(Reply::Streaming { response, permit, fate: Fate::Fallback, attempts, denied })
        }
        _ => None,
    }
}

impl Prepared {
    /// Prepares an answer.
    pub fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into() }
    }

    /// Returns the answer.
    pub fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        response.head_mut().status = self.status;
        let headers = response.headers_mut();
        headers.insert(name::CONTENT_TYPE, &self.content_type);
        // It holds now, and not for as long as a cache in front of us thinks.
        headers.insert(name::CACHE_CONTROL, "no-store");
        response
    }
}
