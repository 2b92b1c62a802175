//! What is told of a call outside of its policy: by caches, by fallbacks, by what carries an attempt
//! out.
//!
//! Does not know who stands there. Invariant: the clock is read only if somebody listens.

use std::time::{Duration, Instant};

use seawall_core::{
    Attempt, AttemptId, CacheUse, CallEvent, CallEventKind as Kind, CallId, Event, Fate, Fault,
    Origin,
};

use crate::{Context, Policy, clock, draw_call_id};

impl Policy {
    /// Tells what happened to a call that has entered, outside of its policy.
    #[doc(hidden)]
    pub fn tell(&self, context: &Context<'_>, kind: Kind<'_>) {
        if self.observers().listens() {
            self.tell_at(context, clock::now(), kind);
        }
    }

    /// Tells that a failed call is answered with something prepared.
    #[doc(hidden)]
    pub fn fell_back(&self, context: &Context<'_>, fate: Fate) {
        self.tell(context, Kind::FellBack { fate });
    }

    /// Tells that an answer came from a cache.
    #[doc(hidden)]
    pub fn used_cache(&self, context: &Context<'_>, how: CacheUse, age: Duration, at: Instant) {
        if self.observers().listens() {
            self.tell_at(context, at, Kind::CacheUsed { how, age });
        }
    }

    /// Tells that a call took part in the answer of `flight`, for which it has waited `since`.
    #[doc(hidden)]
    pub fn coalesced(&self, context: &Context<'_>, flight: CallId, since: Instant) {
        if self.observers().listens() {
            let now = clock::now();
            let waited = now.saturating_duration_since(since);
            self.tell_at(context, now, Kind::Coalesced { flight, waited });
        }
    }

    /// Tells that an attempt of a call failed with a fault.
    #[doc(hidden)]
    pub fn attempt_faulted(&self, context: &Context<'_>, attempt: &Attempt, fault: &Fault) {
        if self.observers().listens() {
            let name = self.endpoint_name(attempt.endpoint);
            let address = name.as_deref().unwrap_or_default();
            let call = attempt.call.unwrap_or_else(|| call_of(context));
            let (now, kind) = (clock::now(), Kind::AttemptFaulted { address, fault });
            self.tell_of(call, context, now, Some(attempt.id()), kind);
        }
    }

    fn tell_at(&self, context: &Context<'_>, at: Instant, kind: Kind<'_>) {
        self.tell_of(call_of(context), context, at, None, kind);
    }

    fn tell_of(
        &self,
        call: CallId,
        context: &Context<'_>,
        at: Instant,
        attempt: Option<AttemptId>,
        kind: Kind<'_>,
    ) {
        let (upstream, origin) = (self.upstream(), context.origin.unwrap_or(&Origin::UNKNOWN));
        let event = CallEvent { at, call, upstream, attempt, origin, kind };
        self.observers().tell(&Event::Call(&event));
    }
}

/// Returns the call; one that has never entered anywhere is one of its own.
fn call_of(context: &Context<'_>) -> CallId {
    context.call.unwrap_or_else(draw_call_id)
}
