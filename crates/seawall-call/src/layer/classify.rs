//! What a layer must know of the requests of a service.
//!
//! Does not know: HTTP. Invariant: a request that cannot be copied is sent once.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Judge, Outcome, Plain, RetryDenied, Retrying};
use seawall_policy::Params;

use crate::{Context, Permit, Policy};

/// Says how requests are repeated, and who judges their results.
///
/// [`Plain`] repeats every request that can be cloned; [`Once`] repeats none;
/// [`HttpClassifier`](super::HttpClassifier) looks at method, headers and body.
pub trait Classify<Req, Res, Err>: Clone {
    /// Judges the attempts of one request.
    type Judge: Judge<Res, Err>;

    /// Makes the judge of a request, before it is sent.
    fn judge(&self, request: &Req, params: &Params) -> Self::Judge;

    /// Copies a request for another attempt; `None` for one that can be sent only once. It is
    /// asked only where the policy could repeat or hedge, and answers for one request always the
    /// same.
    fn copy(&self, request: &Req, judge: &Self::Judge) -> Option<Req>;

    /// Says what the request's caller brings along: its deadline, priority and key.
    fn context(&self, _request: &Req) -> Context<'static> {
        Context::default()
    }

    /// Hands an answer on; the place in the bulkhead comes back when the permit is dropped, which
    /// without a word more is now.
    fn finish(&self, response: Res, permit: Permit) -> Res {
        drop(permit);
        response
    }

    /// Returns the policy of this request, if it is not the layer's: one for its host or tenant, out
    /// of a [`Registry`](crate::Registry).
    fn policy(&self, _request: &Req) -> Option<Policy> {
        None
    }

    /// Returns the numbers of this one request, if they are not the policy's.
    fn params(&self, _request: &Req) -> Option<Arc<Params>> {
        None
    }
}

/// Judges `Ok` a success and `Err` a failure, and sends every request once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Once;

impl<Req: Clone, Res, Err> Classify<Req, Res, Err> for Plain {
    type Judge = Self;

    fn judge(&self, _request: &Req, _params: &Params) -> Self {
        *self
    }

    fn copy(&self, request: &Req, _judge: &Self) -> Option<Req> {
        Some(request.clone())
    }
}

impl<Req, Res, Err> Classify<Req, Res, Err> for Once {
    type Judge = Plain;

    fn judge(&self, _request: &Req, _params: &Params) -> Plain {
        Plain
    }

    fn copy(&self, _request: &Req, _judge: &Plain) -> Option<Req> {
        None
    }
}

/// Judges as another one does, but repeats only what there is a copy of.
pub(super) struct Copied<J> {
    pub(super) judge: J,
    pub(super) has_copy: bool,
}

impl<T, E, J: Judge<T, E>> Judge<T, E> for Copied<J> {
    fn outcome(&self, result: Result<&T, &E>) -> Outcome {
        self.judge.outcome(result)
    }

    fn may_repeat(&self, result: Option<Result<&T, &E>>) -> Result<(), RetryDenied> {
        self.judge.may_repeat(result)?;
        if self.has_copy { Ok(()) } else { Err(RetryDenied::Body) }
    }

    fn may_hedge(&self) -> bool {
        self.has_copy && self.judge.may_hedge()
    }

    fn injected(&self, what: seawall_core::Chaos) -> Option<Result<T, E>> {
        self.judge.injected(what)
    }

    fn delay(&self, result: Option<Result<&T, &E>>, number: u32) -> Option<Duration> {
        self.judge.delay(result, number)
    }

    fn on_retry(&self, retrying: Retrying<'_, T, E>) {
        self.judge.on_retry(retrying);
    }
}
