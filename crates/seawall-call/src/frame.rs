//! What a call's journey and its attempts share.
//!
//! Does not know: where the call stands. Invariant: `waits` is set exactly while the call's future
//! is suspended, so a panic that unwinds while it is not set began in the call's own poll, in code
//! of its user's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use seawall_core::{AttemptId, CallEvent, CallEventKind, CallId, Event, Origin};
use seawall_policy::Params;
use seawall_policy::bulkhead::ClientId;

use crate::policy::Core;
use crate::{Context, draw_call_id};

/// Holds what all parts of one call look at.
pub(crate) struct Frame<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) params: &'a Params,
    pub(crate) context: &'a Context<'a>,
    /// Whether a place is kept beyond its attempt's end, for the answer's body.
    pub(crate) keeps_place: bool,
    pub(crate) client: ClientId,
    /// An atomic only so that the call may move to another thread; nobody else looks at it.
    waits: AtomicBool,
}

impl<'a> Frame<'a> {
    #[inline]
    pub(crate) fn new(
        core: &'a Arc<Core>,
        params: &'a Params,
        context: &'a Context<'a>,
        keeps_place: bool,
    ) -> Self {
        let client = context.client;
        Self { core, params, context, client, keeps_place, waits: AtomicBool::new(false) }
    }

    /// Returns the call's id; `carry_out` has seen to it that there is one.
    #[inline]
    pub(crate) fn call(&self) -> CallId {
        self.context.call.unwrap_or_else(draw_call_id)
    }

    /// Tells the observers what happened to the call, or to one of its attempts.
    #[inline]
    pub(crate) fn tell(&self, at: Instant, attempt: Option<AttemptId>, kind: CallEventKind<'_>) {
        if self.core.observers.listens() {
            let upstream = self.core.upstream;
            let origin = self.context.origin.unwrap_or(&Origin::UNKNOWN);
            // Written where it is told of: events are large, and moving them costs.
            let event = CallEvent { at, call: self.call(), upstream, attempt, origin, kind };
            self.core.observers.tell(&Event::Call(&event));
        }
    }

    /// Takes note that the call is suspended, or goes on.
    #[inline]
    pub(crate) fn set_waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// Returns whether the call ends because code of its user's panicked in it: a panic elsewhere
    /// that takes the call with it is none of the upstream's.
    pub(crate) fn is_panic(&self) -> bool {
        std::thread::panicking() && !self.waits.load(Ordering::Relaxed)
    }
}
