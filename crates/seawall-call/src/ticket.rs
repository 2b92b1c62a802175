//! What an answer holds until its body has ended: the attempt's place in the bulkhead.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Failure, Neutral, Outcome};
use seawall_policy::breaker::Admit;

use crate::clock;
use crate::policy::Core;

/// Holds an attempt's place in the bulkhead; taken when the attempt is admitted, given back when
/// dropped.
#[must_use = "dropping it gives the place to the next attempt"]
pub struct Ticket(Arc<Core>);

impl Ticket {
    /// Takes charge of a place that the gate has given out.
    pub(crate) fn holding(core: &Arc<Core>) -> Self {
        Self(Arc::clone(core))
    }

    /// Tells the breaker that the answer did not end well after its head had been good: its body
    /// was cut short or came too slowly.
    ///
    /// The head's success stays counted, since it was one; the cut counts beside it. While the
    /// breaker is not closed the cut does not count: the body began under another state, and the
    /// probes decide.
    pub fn body_failed(&self, failure: Failure) {
        let core = &*self.0;
        let (params, now) = (core.params.load(), clock::now());
        let Some(params) = &params.breaker else { return };
        match core.breaker.admit(params, now, Duration::ZERO, || 1.0) {
            Admit::Pass(grant) | Admit::Spared(grant) => {
                core.breaker_changed(grant.change());
                core.record(params, grant, Outcome::Failure(failure), now);
            }
            Admit::Probe(grant) => {
                core.breaker_changed(grant.change());
                core.record(params, grant, Outcome::Neutral(Neutral::LocalReject), now);
            }
            Admit::Refused { .. } => {}
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.gate.release();
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("upstream", &self.0.upstream).finish_non_exhaustive()
    }
}
