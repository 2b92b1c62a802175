//! What one attempt holds: a place in the bulkhead, the breaker's grant, a count at its endpoint.
//!
//! Does not know: the attempt itself, or the call's other attempts. Invariant: whatever it holds is
//! given back exactly once, at the latest when it is dropped; an attempt that is dropped before its
//! end is neutral to the breaker, for the reason that its caller has written down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{
    CancelCell, CancelReason, Deadline, EndpointId, Event, Failure, Neutral, Outcome, Phase,
};
use seawall_policy::breaker::{Admit, Breaker, Grant, Trip};
use seawall_policy::bulkhead::Client;
use seawall_policy::outlier::What;
use seawall_policy::{Params, adaptive};

use crate::clock;
use crate::ends::Ends;
use crate::policy::Core;

/// Holds what one attempt has taken.
pub(crate) struct Hold<'a> {
    core: &'a Arc<Core>,
    params: &'a Params,
    cancel: &'a CancelCell,
    client: Client,
    /// The endpoints, if there are several.
    ends: Option<Arc<Ends>>,
    pub(crate) endpoint: EndpointId,
    grant: Option<Grant>,
    has_place: bool,
    /// Whether the place is that of an answer whose body is on its way.
    is_body: bool,
    /// Set while the attempt is under way.
    under_way: Option<UnderWay>,
}

#[derive(Clone, Copy)]
struct UnderWay {
    number: u32,
    since: Instant,
    deadline: Deadline,
    is_callers: bool,
}

/// Says what an attempt is that begins.
#[derive(Clone, Copy)]
pub(crate) struct Begin {
    pub(crate) number: u32,
    pub(crate) is_hedge: bool,
    pub(crate) now: Instant,
    pub(crate) deadline: Deadline,
    /// Whether the call's deadline is the caller's own.
    pub(crate) is_callers: bool,
}

/// Says that a breaker refused an attempt.
pub(crate) struct Refused {
    pub(crate) retry_after: Duration,
    pub(crate) trip: Option<Trip>,
}

impl<'a> Hold<'a> {
    /// Holds nothing yet.
    // It is filled in place, and lent rather than handed on: moving it through results at every
    // step cost a call a tenth of its time.
    #[inline]
    pub(crate) fn new(
        core: &'a Arc<Core>,
        params: &'a Params,
        cancel: &'a CancelCell,
        client: Client,
    ) -> Self {
        Self {
            core,
            params,
            cancel,
            client,
            ends: None,
            endpoint: EndpointId(0),
            grant: None,
            has_place: false,
            is_body: false,
            under_way: None,
        }
    }

    /// Hands on what is held, and holds nothing any more.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(self.core, self.params, self.cancel, self.client);
        std::mem::replace(self, empty)
    }

    /// Picks an endpoint and asks its breaker.
    ///
    /// # Errors
    ///
    /// Returns when it is worth asking again.
    #[inline]
    pub(crate) fn ask(&mut self, tried: u64, now: Instant) -> Result<(), Refused> {
        let (core, params) = (self.core, self.params);
        if let Some(ends) = core.several_ends() {
            self.endpoint = pick(core, params, &ends, tried, now);
            self.ends = Some(ends);
        }
        let Some(breaker) = &params.breaker else { return Ok(()) };
        let lease = params.timeout.attempt.saturating_add(LEASE_SLACK);
        let draw = || core.dice.fork().unit();
        match self.breaker().admit(breaker, now, lease, draw) {
            Admit::Pass(grant) | Admit::Probe(grant) => {
                core.breaker_changed(self.guarded(), grant.change());
                self.grant = Some(grant);
            }
            Admit::Spared(grant) => {
                core.tell(&Event::BreakerSpared { upstream: core.upstream });
                self.grant = Some(grant);
            }
            Admit::Refused { retry_after } => {
                return Err(Refused { retry_after, trip: self.breaker().last_trip(now) });
            }
        }
        Ok(())
    }

    /// Takes charge of a place that the gate has given out.
    #[inline]
    pub(crate) fn take_place(&mut self) {
        self.has_place = true;
    }

    /// Gives the breaker's grant back without a word about the upstream: nobody who waits must
    /// hold a probe that another could make.
    pub(crate) fn give_grant_back(&mut self, now: Instant) {
        self.report(Outcome::Neutral(Neutral::LocalReject), now);
    }

    #[inline]
    pub(crate) fn begin(&mut self, begin: Begin) {
        let Begin { number, is_hedge, now, deadline, is_callers } = begin;
        self.under_way = Some(UnderWay { number, since: now, deadline, is_callers });
        if let Some(ends) = &self.ends {
            ends.picker.begin(self.endpoint);
        }
        let (upstream, endpoint) = (self.core.upstream, self.endpoint);
        self.core.tell(&Event::AttemptStarted { upstream, endpoint, number, is_hedge });
    }

    /// Returns when the attempt is given up, while it is under way.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.under_way.map(|under_way| under_way.deadline.instant())
    }

    /// Returns whether the attempt has had its time.
    pub(crate) fn is_out_of_time(&self, now: Instant) -> bool {
        self.deadline().is_none_or(|deadline| deadline <= now)
    }

    /// Ends the attempt; without an outcome it was cut off by its time limit.
    #[inline]
    pub(crate) fn end(&mut self, outcome: Option<Outcome>, now: Instant) -> Outcome {
        // The upstream may not have noticed that it was cut off.
        let cut = if outcome.is_none() { self.under_way } else { None };
        let outcome = outcome.unwrap_or_else(|| self.cut_off(now));
        let counted = self.params.counted(outcome);
        self.report(self.slow_counted(counted, now), now);
        let took = self.tell_end(outcome, now);
        self.tell_gate(took, counted, now);
        if self.params.hedge.is_some() && outcome == Outcome::Success {
            self.core.hedge.record(took, now);
        }
        if let Some(UnderWay { since, .. }) = cut {
            self.leave_ghost(since, now);
        }
        outcome
    }

    /// Tells the gate how an attempt ended, where anything is learned from it.
    #[inline]
    fn tell_gate(&mut self, took: Duration, outcome: Outcome, now: Instant) {
        let Some(limit) = &self.params.limit else { return };
        if !self.has_place || !(limit.holds_abandoned || self.params.adaptive.is_some()) {
            return;
        }
        self.is_body = outcome == Outcome::Success;
        if let Some(change) = self.core.gate.ended(took, outcome, now) {
            let adaptive::Change { from, to, why } = change;
            self.core.tell(&Event::LimitChanged { upstream: self.core.upstream, from, to, why });
        }
    }

    /// Gives the attempt up because another one answered first.
    pub(crate) fn lose(mut self, now: Instant) {
        self.give_up(CancelReason::HedgeLost, now);
    }

    /// Gives the place away, to whoever takes charge of it; returns whether it is a body's.
    #[inline]
    pub(crate) fn hand_over_place(&mut self) -> bool {
        self.has_place = false;
        self.is_body
    }

    /// Says what an attempt that ran out of time says about the upstream.
    #[cold]
    fn cut_off(&self, now: Instant) -> Outcome {
        let Some(UnderWay { since, deadline, is_callers, .. }) = self.under_way else {
            return Outcome::Neutral(Neutral::LocalReject);
        };
        let had_its_time = now - since >= self.params.timeout.attempt;
        let phase = if had_its_time { Phase::Attempt } else { Phase::Total };
        debug_assert!(deadline.has_passed(now), "it was cut off before its time");
        self.core.tell(&Event::TimedOut { upstream: self.core.upstream, phase });
        if is_callers && !had_its_time {
            Outcome::Neutral(Neutral::CallerDeadline)
        } else {
            Outcome::Failure(Failure::TimedOut)
        }
    }

    /// Returns what the attempt counts as for the breaker, where a slow answer is a failure.
    #[inline]
    fn slow_counted(&self, outcome: Outcome, now: Instant) -> Outcome {
        match (&self.params.breaker, self.under_way) {
            (Some(breaker), Some(UnderWay { since, .. })) if breaker.slow.is_some() => {
                breaker.counted(outcome, now - since)
            }
            _ => outcome,
        }
    }

    fn breaker(&self) -> &Breaker {
        let own = self.params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        match &self.ends {
            Some(ends) if own => &ends.breakers[usize::from(self.endpoint.0)],
            _ => &self.core.breaker,
        }
    }

    /// Returns what the breaker guards.
    fn guarded(&self) -> EndpointId {
        let own = self.params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        if self.ends.is_some() && own { self.endpoint } else { EndpointId::ALL }
    }

    /// Reports to the breaker what became of its grant.
    #[inline]
    fn report(&mut self, outcome: Outcome, now: Instant) {
        if let (Some(params), Some(grant)) = (&self.params.breaker, self.grant.take()) {
            let (core, breaker) = (self.core, self.breaker());
            let change = core.record(breaker, params, grant, outcome, now);
            core.breaker_changed(self.guarded(), change);
        }
    }

    /// Tells the attempt's end; returns how long it took.
    #[inline]
    fn tell_end(&mut self, outcome: Outcome, now: Instant) -> Duration {
        let Some(UnderWay { number, since, .. }) = self.under_way.take() else {
            return Duration::ZERO;
        };
        let (upstream, endpoint, took) = (self.core.upstream, self.endpoint, now - since);
        self.core.tell(&Event::AttemptEnded { upstream, endpoint, number, outcome, took });
        if let Some(ends) = &self.ends {
            ends.picker.end(endpoint);
            ends.tallies[usize::from(endpoint.0)].count(outcome, took, now);
            self.judge_endpoint(ends, outcome, now);
        }
        took
    }

    fn judge_endpoint(&self, ends: &Ends, outcome: Outcome, now: Instant) {
        let Some(params) = &self.params.outlier else { return };
        let upstream = self.core.upstream;
        let outcome = self.params.counted(outcome);
        let Some(change) = ends.picker.record(params, self.endpoint, outcome, now) else { return };
        let endpoint = change.endpoint;
        let address = ends.name(endpoint).map_or("", |name| name);
        self.core.tell(&match change.what {
            What::Ejected { ejected_for, why } => {
                Event::EndpointEjected { upstream, endpoint, address, ejected_for, why }
            }
            What::Returned => Event::EndpointReturned { upstream, endpoint, address },
        });
    }

    #[cold]
    fn give_up(&mut self, reason: CancelReason, now: Instant) {
        let outcome = Outcome::Neutral(neutral(reason));
        self.report(outcome, now);
        let Some(UnderWay { since, .. }) = self.under_way else { return };
        let took = self.tell_end(outcome, now);
        self.tell_gate(took, outcome, now);
        self.leave_ghost(since, now);
    }

    /// Leaves the place taken until an attempt that nobody waits for would have had its own time,
    /// whatever deadline its caller had.
    #[cold]
    fn leave_ghost(&mut self, since: Instant, now: Instant) {
        let limit = Deadline::after(since, self.params.timeout.attempt);
        let holds = self.params.limit.as_ref().is_some_and(|limit| limit.holds_abandoned);
        if holds && self.has_place && !limit.has_passed(now) {
            self.has_place = false;
            self.core.gate.abandon(self.client, since, limit.instant(), now);
        }
    }
}

impl Drop for Hold<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.grant.is_some() || self.under_way.is_some() {
            self.give_up(self.cancel.reason(), clock::now());
        }
        if self.has_place {
            self.core.gate.end_place(self.client, self.is_body);
        }
    }
}

#[cold]
fn pick(core: &Core, params: &Params, ends: &Ends, tried: u64, now: Instant) -> EndpointId {
    let per_endpoint = params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
    let is_usable = |id: EndpointId| {
        use seawall_core::BreakerState::{Isolated, Open};
        let state = ends.breakers[usize::from(id.0)].state(now);
        !per_endpoint || !matches!(state, Open | Isolated)
    };
    ends.picker.pick(tried, now, &mut core.dice.fork(), is_usable)
}

/// Says what an attempt that is given up teaches: nothing, for this reason.
fn neutral(reason: CancelReason) -> Neutral {
    match reason {
        CancelReason::ClientGone => Neutral::ClientGone,
        CancelReason::Shutdown => Neutral::Shutdown,
        CancelReason::HedgeLost => Neutral::HedgeLost,
    }
}

/// How much longer than its time limit a probe may take to report; only a task that is stuck or
/// leaked takes longer, and the breaker must not wait for it.
const LEASE_SLACK: Duration = Duration::from_secs(1);
