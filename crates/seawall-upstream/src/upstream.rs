//! An upstream: the way to a service, behind the policy that guards it.
//!
//! Does not know: what is asked of it. Invariant: nothing reaches the service but through the policy.

use std::fmt;
use std::sync::Arc;

use seawall_call::{Answer, CallError, Context, Permit, Policy};
use seawall_core::{Attempt, Fault, UpstreamId};
use seawall_policy::Params;

use crate::{Http, Protocol};

/// A service with the policy that guards it; clones share both.
pub struct Upstream<P = Http> {
    shared: Arc<Shared<P>>,
    policy: Policy,
}

struct Shared<P> {
    name: Arc<str>,
    protocol: P,
}

impl<P: Protocol> Upstream<P> {
    /// Puts a policy before the way to a service.
    pub fn new(name: impl Into<Arc<str>>, policy: Policy, protocol: P) -> Self {
        Self { shared: Arc::new(Shared { name: name.into(), protocol }), policy }
    }

    /// Returns the same upstream behind other numbers: a policy [derived](Policy::derive) from its
    /// own.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { shared: Arc::clone(&self.shared), policy }
    }

    /// Returns whether both are the same way to the same service, whatever their policies.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns its number in metrics.
    pub fn id(&self) -> UpstreamId {
        self.policy.upstream()
    }

    /// Returns its name in the settings.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns the policy, with its state.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the way to the service.
    pub fn protocol(&self) -> &P {
        &self.shared.protocol
    }

    /// Calls the service as the policy allows, without a cache.
    ///
    /// # Errors
    ///
    /// As [`Policy::call`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up; the reason is read from the context.
    pub async fn send(
        &self,
        request: &P::Request,
        context: Context<'_>,
    ) -> Result<(Answer<P::Response>, Permit), CallError<Fault>> {
        self.send_by(&self.policy.params(), request, context).await
    }

    /// Calls as [`send`](Self::send) does, by the numbers of its policy, which the caller has read.
    pub(crate) async fn send_by(
        &self,
        params: &Params,
        request: &P::Request,
        mut context: Context<'_>,
    ) -> Result<(Answer<P::Response>, Permit), CallError<Fault>> {
        // A fault is told of the same call as all else.
        context.enter();
        let (protocol, policy) = (&self.shared.protocol, &self.policy);
        let judge = protocol.judge(request, params);
        let attempt = async |attempt: Attempt| {
            let result = protocol.attempt(request, attempt, params).await;
            if let Err(fault) = &result {
                policy.attempt_faulted(&context, &attempt, fault);
            }
            result
        };
        policy.call(context, &judge, attempt).await
    }
}

impl<P> Clone for Upstream<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), policy: self.policy.clone() }
    }
}

impl<P> fmt::Debug for Upstream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
