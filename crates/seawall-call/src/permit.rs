//! A permit: an attempt's place in the bulkhead, for as long as its answer's body is read.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use seawall_core::{EndpointId, Failure, Neutral, Outcome, UpstreamId};
use seawall_policy::breaker::Admit;
use seawall_policy::bulkhead::ClientId;

use crate::frame::Frame;
use crate::policy::Core;
use crate::{Revocable, clock};

/// A place in the bulkhead; taken when the attempt is admitted, given back when dropped.
///
/// A failure that stands because its retry was refused has given its place back before the
/// backoff: its permit holds none.
#[must_use = "dropping it gives the place to the next attempt"]
pub struct Permit {
    core: Arc<Core>,
    endpoint: EndpointId,
    client: ClientId,
    /// Whether its attempt counts as a body that is on its way.
    is_body: bool,
    has_place: bool,
}

impl Permit {
    /// Goes with an answer; `has_place` says whether the gate has given out a place for it that has
    /// not been given back.
    #[inline]
    pub(crate) fn of(
        frame: &Frame<'_>,
        endpoint: EndpointId,
        has_place: bool,
        is_body: bool,
    ) -> Self {
        let (core, client) = (Arc::clone(frame.core), frame.client);
        Self { core, endpoint, client, is_body, has_place }
    }

    /// Gives the place back before the answer has ended: one that goes on for as long as its caller
    /// likes, as a tunnel does, must not keep others waiting.
    pub fn give_back(&mut self) {
        if std::mem::take(&mut self.has_place) {
            self.core.gate.end_place(self.client, self.is_body);
        }
    }

    /// Lets the place be taken back for others who wait while the answer waits for its own caller.
    /// Whoever revokes drops the permit.
    pub fn revocable(&self, answer: Weak<dyn Revocable>) {
        if self.has_place {
            self.core.gate.readers.add(self.client, answer);
        }
    }

    /// Returns the upstream whose place it is.
    pub fn upstream(&self) -> UpstreamId {
        self.core.upstream
    }

    /// Returns the name of the endpoint that answered, if it has one.
    pub fn endpoint_name(&self) -> Option<Arc<str>> {
        self.core.endpoint_name(self.endpoint)
    }

    /// Tells the breaker that the answer did not end well after its head had been good: its body
    /// was cut short or came too slowly.
    ///
    /// The head's success stays counted, since it was one; the cut counts beside it. While the
    /// breaker is not closed the cut does not count: the body began under another state, and the
    /// probes decide.
    pub fn body_failed(&self, failure: Failure) {
        let core = &*self.core;
        let (params, now) = (core.base.load(), clock::now());
        let Some(params) = &params.breaker else { return };
        let endpoints = core.several_endpoints().filter(|_| params.per_endpoint);
        let own = endpoints
            .as_ref()
            .and_then(|endpoints| endpoints.breakers.get(usize::from(self.endpoint.0)));
        let (breaker, guarded) = match own {
            Some(breaker) => (&**breaker, self.endpoint),
            None => (&core.breaker, EndpointId::ALL),
        };
        let (grant, outcome) = match breaker.admit(params, now, Duration::ZERO, || 0.0) {
            Admit::Pass(grant) | Admit::Spared(grant) => (grant, Outcome::Failure(failure)),
            Admit::Probe(grant) => (grant, Outcome::Neutral(Neutral::LocalReject)),
            Admit::Refused { .. } => return,
        };
        core.breaker_changed(guarded, grant.change(), now, None);
        let change = core.record(breaker, params, grant, outcome, now);
        core.breaker_changed(guarded, change, now, None);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("upstream", &self.core.upstream).finish_non_exhaustive()
    }
}
