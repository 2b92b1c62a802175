//! The layer, its service and its future.
//!
//! Does not know: requests and results; its `Classify` does. One box for each call, at this rim:
//! the call's own future has no name.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use seawall_core::{Attempt, Plain};
use tower_layer::Layer;
use tower_service::Service;

use super::Classify;
use super::classify::Copied;
use crate::call::Numbers;
use crate::{Answer, CallError, Policy, Unsound};

/// Puts a policy around a service; clones share the policy's state.
#[derive(Clone)]
pub struct PolicyLayer<C = Plain> {
    policy: Policy,
    classify: C,
}

/// Is a service whose requests go through a policy; clones share the policy's state.
///
/// The inner service must be `Clone`: each attempt has a clone of its own and makes it ready.
/// A service that is not ready for one attempt keeps no other from another clone.
#[derive(Clone)]
pub struct PolicyService<S, C = Plain> {
    inner: S,
    policy: Policy,
    classify: C,
}

/// Is one request on its way through a policy.
///
/// # Cancel safety
///
/// Dropping it gives the call up, see [`Policy::call`].
#[must_use = "futures do nothing unless polled"]
pub struct PolicyFuture<T, E>(Pin<Box<dyn Future<Output = Result<T, CallError<E>>> + Send>>);

impl PolicyLayer {
    /// Puts a policy around services whose requests can be cloned and whose every `Err` is a
    /// failure that may be repeated; [`classified`](Self::classified) says otherwise.
    pub const fn new(policy: Policy) -> Self {
        Self { policy, classify: Plain }
    }
}

impl<C> PolicyLayer<C> {
    /// Says what requests and results mean.
    #[must_use]
    pub fn classified<D>(self, classify: D) -> PolicyLayer<D> {
        PolicyLayer { policy: self.policy, classify }
    }

    /// Returns the policy: to reload it, to look at it, or to set its breaker by hand.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }
}

impl<S, C: Clone> Layer<S> for PolicyLayer<C> {
    type Service = PolicyService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { policy, classify } = self.clone();
        PolicyService { inner, policy, classify }
    }
}

impl<S, C, Req> Service<Req> for PolicyService<S, C>
where
    S: Service<Req> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    Req: Send + 'static,
    C: Classify<Req, S::Response, S::Error> + Send + 'static,
    C::Judge: Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = CallError<S::Error>;
    type Future = PolicyFuture<S::Response, S::Error>;

    /// Is always ready, and takes nothing.
    fn poll_ready(&mut self, _cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let Self { inner, policy, classify } = self.clone();
        PolicyFuture(Box::pin(async move {
            let policy = classify.policy(&request).unwrap_or(policy);
            let params = match classify.params(&request) {
                Some(own) => Unsound::check(&own).map(|()| own).map_err(CallError::Unsound)?,
                None => policy.params(),
            };
            let context = classify.context(&request);
            let judge = classify.judge(&request, &params);
            let may_be_more = params.retry.is_some() || params.hedge.is_some();
            let copy = may_be_more.then(|| classify.copy(&request, &judge)).flatten();
            let judge = Copied { judge, has_copy: copy.is_some() };
            // The first attempt sends the copy, so that the request itself is there for others.
            let (mut first, mut kept) = match copy {
                Some(copy) => (Some(copy), Some(request)),
                None => (Some(request), None),
            };
            let finish = classify.clone();
            let copy_of = {
                let classify = classify.clone();
                let seen = params.clone();
                move |request: &Req| classify.copy(request, &classify.judge(request, &seen))
            };
            let make = move |_: Attempt| {
                let copied = || kept.as_ref().and_then(&copy_of);
                let request = first.take().or_else(copied).or_else(|| kept.take());
                send(inner.clone(), request)
            };
            let numbers = Numbers::Sound(&params);
            let finish = move |answer: Answer<_>, permit| finish.finish(answer.value, permit);
            policy.carry_out(numbers, context, &judge, make, finish).await
        }))
    }
}

/// Makes a service ready and sends one request.
async fn send<S, Req>(mut service: S, request: Option<Req>) -> Result<S::Response, S::Error>
where
    S: Service<Req>,
{
    let Some(request) = request else {
        // A `Classify` that has changed its mind about a request: the attempt times out.
        return pending().await;
    };
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

impl<T, E> Future for PolicyFuture<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<C> std::fmt::Debug for PolicyLayer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyLayer").finish_non_exhaustive()
    }
}

impl<S, C> std::fmt::Debug for PolicyService<S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyService").finish_non_exhaustive()
    }
}

impl<T, E> std::fmt::Debug for PolicyFuture<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyFuture").finish_non_exhaustive()
    }
}
