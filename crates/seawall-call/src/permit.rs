//! What an attempt holds while it runs: the breaker's trust, and a place in the bulkhead.
//!
//! Does not know: who waits, or what the attempt does. Invariant: each of the two is given back
//! exactly once, however the attempt ends; an attempt that is dropped is neutral to the breaker.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{BreakerState, CancelCell, CancelReason, Failure, Neutral, Outcome};
use seawall_policy::breaker::{self, Admit, Grant};

use crate::clock;
use crate::policy::Core;

/// Holds the breaker's leave to make one attempt; taken when the breaker admits it, given back
/// with the attempt's outcome, or as neutral when dropped.
pub(crate) struct Trial<'a> {
    core: &'a Core,
    cancel: &'a CancelCell,
    /// Gone once the outcome is reported; absent without a breaker.
    admitted: Option<(&'a breaker::Params, Grant)>,
}

/// Holds a place in the bulkhead; taken when the gate admits, given back when dropped.
pub(crate) struct Place(Arc<Core>);

/// Holds an attempt's place in the bulkhead; taken when the attempt is admitted, given back when
/// dropped.
#[must_use = "dropping it gives the place to the next attempt"]
pub struct Ticket(Place);

impl<'a> Trial<'a> {
    /// Stands for leave that nobody has to give: there is no breaker.
    pub(crate) fn free(core: &'a Core, cancel: &'a CancelCell) -> Self {
        Self { core, cancel, admitted: None }
    }

    pub(crate) fn granted(
        core: &'a Core,
        cancel: &'a CancelCell,
        params: &'a breaker::Params,
        grant: Grant,
    ) -> Self {
        Self { core, cancel, admitted: Some((params, grant)) }
    }

    /// Reports how the attempt ended.
    pub(crate) fn end(mut self, outcome: Outcome, now: Instant) {
        self.report(outcome, now);
    }

    /// Gives the leave back unused.
    pub(crate) fn unused(self, now: Instant) {
        self.end(Outcome::Neutral(Neutral::LocalReject), now);
    }

    fn report(&mut self, outcome: Outcome, now: Instant) {
        if let Some((params, grant)) = self.admitted.take() {
            self.core.record(params, grant, outcome, now);
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.admitted.is_some() {
            self.report(Outcome::Neutral(neutral(self.cancel.reason())), clock::now());
        }
    }
}

impl Place {
    /// Takes charge of a place that the gate has given out.
    pub(crate) fn of(core: &Arc<Core>) -> Self {
        Self(Arc::clone(core))
    }

    pub(crate) fn into_ticket(self) -> Ticket {
        Ticket(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.gate.release();
    }
}

impl Ticket {
    /// Tells the breaker that the answer did not end well after its head had been good: its body
    /// was cut short or came too slowly.
    ///
    /// The head's success stays counted, since it was one; the cut counts beside it. While the
    /// breaker is not closed the cut does not count: the body began under another state, and the
    /// probes decide.
    pub fn body_failed(&self, failure: Failure) {
        let core = &*self.0.0;
        let (params, now) = (core.params.load(), clock::now());
        let Some(params) = &params.breaker else { return };
        if core.breaker.state(now) != BreakerState::Closed {
            return;
        }
        match core.breaker.admit(params, now, Duration::ZERO) {
            Admit::Pass(grant) => core.record(params, grant, Outcome::Failure(failure), now),
            // It has changed since it was asked.
            Admit::Probe(grant) => {
                core.record(params, grant, Outcome::Neutral(Neutral::LocalReject), now);
            }
            Admit::Refused { .. } => {}
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("upstream", &self.0.0.upstream).finish_non_exhaustive()
    }
}

impl Core {
    fn record(&self, params: &breaker::Params, grant: Grant, outcome: Outcome, now: Instant) {
        let mut chance = self.dice.fork();
        self.breaker_changed(self.breaker.record(params, grant, outcome, now, &mut chance));
    }
}

/// Says what a call that is given up teaches: nothing, for this reason.
pub(crate) fn neutral(reason: CancelReason) -> Neutral {
    match reason {
        CancelReason::ClientGone => Neutral::ClientGone,
        CancelReason::Shutdown => Neutral::Shutdown,
        CancelReason::HedgeLost => Neutral::HedgeLost,
    }
}
