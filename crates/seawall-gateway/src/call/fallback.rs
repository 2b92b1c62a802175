//! What a route answers when its call has failed: something prepared, or another upstream's word.
//!
//! Does not know why the call failed. Invariants: a client is told of its own mistakes, never
//! something prepared; a request is sent to another upstream only if the first one cannot have
//! carried it out, or if twice does no harm.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use seawall_call::draw_call_id;
use seawall_core::{CancelCell, Fate, Origin};
use seawall_http::{Response, is_repeatable};
use seawall_policy::Params;
use seawall_wire::name;

use crate::call::ended::Ended;
use crate::call::forward::{self, Job};
use crate::settings::{Prepared, Target, UpstreamHost};
use crate::{Fallback, Route};

/// Answers in the place of a call that has failed, if the route has something to say.
///
/// # Cancel safety
///
/// Dropping the future gives the call to the other upstream up.
pub(crate) async fn stand_in(
    fallback: &Fallback,
    ended: Ended,
    job: &Job<'_>,
    params: &Params,
    cancel: &CancelCell,
) -> Ended {
    if !ended.may_be_replaced(params) {
        return ended;
    }
    let before = ended.fate();
    let instead = match fallback {
        Fallback::Prepared(prepared) => Some(prepared_answer(prepared, ended.attempts())),
        Fallback::Upstream(target) => other(target, ended.attempts(), job, cancel).await,
    };
    match instead {
        Some(instead) => {
            job.route.policy.fell_back(&job.context(cancel), before);
            instead
        }
        None => ended,
    }
}

fn prepared_answer(prepared: &Prepared, attempts: u32) -> Ended {
    let Prepared { status, content_type, body } = prepared;
    let mut response = Response::new(body.clone());
    response.head_mut().status = *status;
    let headers = response.headers_mut();
    headers.insert(name::CONTENT_TYPE, content_type);
    // It holds now, and not for as long as a cache in front of us thinks.
    headers.insert(name::CACHE_CONTROL, "no-store");
    Ended::Ready { response, fate: Fate::Fallback, attempts }
}

/// Asks another upstream; nothing if it may not be asked, or does no better.
async fn other(
    target: &Arc<Target>,
    attempts: u32,
    job: &Job<'_>,
    cancel: &CancelCell,
) -> Option<Ended> {
    let is_harmless = attempts == 0 || is_repeatable(&job.method, &job.headers, job.retry);
    if !is_harmless || !job.body.is_whole() {
        return None;
    }
    let policy = target.policy.clone();
    let route = Route { target: Arc::clone(target), policy, ..job.route.clone() };
    let params = route.policy.params();
    let origin = Origin { parent: Some(job.call), ..Origin::UNKNOWN };
    let again = Job {
        call: draw_call_id(),
        origin: Some(&origin),
        is_stream: job.is_stream,
        route: &route,
        method: job.method.clone(),
        uri: job.uri.clone(),
        // A name that is set is the first upstream's.
        host: match route.upstream_host {
            UpstreamHost::Keep => job.host.clone(),
            UpstreamHost::Upstream | UpstreamHost::Named(_) => None,
        },
        headers: job.headers.clone(),
        body: job.body.again(),
        deadline: job.deadline,
        retry: params.retry.as_ref(),
        caller: job.caller,
        interim: None,
    };
    match Ended::from(forward::call(&again, cancel).await) {
        Ended::Upstream { response, permit, fate, attempts: more } if !fate.is_failure() => {
            let attempts = attempts.saturating_add(more);
            Some(Ended::Upstream { response, permit, fate: Fate::Fallback, attempts })
        }
        _ => None,
    }
}

impl Prepared {
    /// Prepares an answer.
    pub fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into() }
    }
}
