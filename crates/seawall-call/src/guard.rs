//! What one attempt holds: a place in the bulkhead, the breaker's grant, a count at its endpoint.
//!
//! Does not know: the attempt itself, or the call's other attempts. Invariant: whatever it holds is
//! given back exactly once, at the latest when it is dropped; an attempt that is dropped before its
//! end is neutral to the breaker, for the reason that its caller has written down, unless its own
//! code panicked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{
    AttemptId, CallEventKind as Kind, CancelReason, Deadline, EndpointId, Failure, Neutral,
    Outcome, Phase, UpstreamEventKind,
};
use seawall_policy::breaker::{Admit, Breaker, BreakerTransition, Grant, Trip};
use seawall_policy::outlier::What;
use seawall_policy::{Params, adaptive};

use crate::endpoints::Endpoints;
use crate::frame::Frame;
use crate::policy::Core;
use crate::{Permit, clock};

/// What one attempt has taken; dropping it gives that back.
pub(crate) struct AttemptGuard<'a> {
    frame: &'a Frame<'a>,
    attempt: AttemptId,
    /// The endpoints, if there are several.
    endpoints: Option<Arc<Endpoints>>,
    pub(crate) endpoint: EndpointId,
    grant: Option<Grant>,
    has_place: bool,
    /// Whether the place is that of an answer whose body is on its way.
    is_body: bool,
    /// Set while the attempt is under way.
    under_way: Option<UnderWay>,
    /// Whether code of the user's that runs now runs for this attempt, and not for another of the
    /// same call.
    runs: bool,
}

#[derive(Clone, Copy)]
struct UnderWay {
    since: Instant,
    deadline: Deadline,
    is_callers: bool,
}

/// Says what an attempt is that begins.
#[derive(Clone, Copy)]
pub(crate) struct Begin {
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

impl<'a> AttemptGuard<'a> {
    /// Holds nothing yet.
    // It is filled in place, and lent rather than handed on: moving it through results at every
    // step cost a call a tenth of its time.
    #[inline]
    pub(crate) fn new(frame: &'a Frame<'a>, attempt: AttemptId) -> Self {
        Self {
            frame,
            attempt,
            endpoints: None,
            endpoint: EndpointId(0),
            grant: None,
            has_place: false,
            is_body: false,
            under_way: None,
            runs: true,
        }
    }

    /// Hands on what is held, and holds nothing any more.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(self.frame, self.attempt);
        std::mem::replace(self, empty)
    }

    /// Picks an endpoint and asks its breaker.
    ///
    /// # Errors
    ///
    /// Returns when it is worth asking again.
    #[inline]
    pub(crate) fn ask(&mut self, tried: u64, now: Instant) -> Result<(), Refused> {
        let (core, params) = (self.frame.core, self.frame.params);
        if let Some(endpoints) = core.several_endpoints() {
            self.endpoint = pick(core, params, &endpoints, tried, now);
            self.endpoints = Some(endpoints);
        }
        let Some(breaker) = &params.breaker else { return Ok(()) };
        let lease = params.timeout.attempt.saturating_add(LEASE_SLACK);
        let draw = || core.dice.fork().unit();
        match self.breaker().admit(breaker, now, lease, draw) {
            Admit::Pass(grant) | Admit::Probe(grant) => {
                if grant.change().is_some() {
                    self.breaker_changed(grant.change(), now);
                }
                self.grant = Some(grant);
            }
            Admit::Spared(grant) => {
                self.tell(now, Kind::BreakerSpared);
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
        let Begin { now, deadline, is_callers } = begin;
        self.under_way = Some(UnderWay { since: now, deadline, is_callers });
        if let Some(endpoints) = &self.endpoints {
            endpoints.picker.begin(self.endpoint);
        }
        self.tell(now, Kind::AttemptStarted { endpoint: self.endpoint });
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
        let Some(outcome) = outcome else { return self.end_cut_off(now) };
        let counted = self.frame.params.counted(outcome);
        self.report(self.slow_counted(counted, now), now);
        let took = self.tell_end(outcome, now);
        self.tell_gate(took, counted, now, !self.frame.keeps_place);
        if self.frame.params.hedge.is_some() && outcome == Outcome::Success {
            self.frame.core.hedge.record(took, now);
        }
        outcome
    }

    #[cold]
    fn end_cut_off(&mut self, now: Instant) -> Outcome {
        let since = self.under_way.map(|under_way| under_way.since);
        let outcome = self.cut_off(now);
        let counted = self.frame.params.counted(outcome);
        self.report(self.slow_counted(counted, now), now);
        let took = self.tell_end(outcome, now);
        self.tell_gate(took, counted, now, false);
        if let Some(since) = since {
            // The upstream may not have noticed that it was cut off.
            self.leave_ghost(since, now);
        }
        outcome
    }

    /// Tells the gate how an attempt ended, where anything is learned from it, and gives the place
    /// back with the same word if it `is_over`.
    #[inline]
    fn tell_gate(&mut self, took: Duration, outcome: Outcome, now: Instant, is_over: bool) {
        let (core, params) = (self.frame.core, self.frame.params);
        let Some(limit) = &params.limit else { return };
        if !self.has_place || !(limit.holds_abandoned || params.adaptive.is_some()) {
            return;
        }
        self.has_place = !is_over;
        self.is_body = outcome == Outcome::Success && !is_over;
        if let Some(change) = core.gate.ended(self.frame.client, took, outcome, now, is_over) {
            let adaptive::LimitChange { from, to, why } = change;
            let kind = UpstreamEventKind::LimitChanged { from, to, why };
            core.tell_change(now, Some(self.frame.call()), kind);
        }
    }

    /// Says whether code of the user's that runs from now on runs for this attempt.
    #[inline]
    pub(crate) fn set_runs(&mut self, runs: bool) {
        self.runs = runs;
    }

    /// Gives the attempt up because another one answered first.
    pub(crate) fn lose(mut self, now: Instant) {
        self.give_up(CancelReason::HedgeLost, now);
    }

    /// Gives the place away, if there still is one, to whoever takes charge of it.
    #[inline]
    pub(crate) fn permit(&mut self) -> Permit {
        let has_place = std::mem::take(&mut self.has_place);
        Permit::of(self.frame, self.endpoint, has_place, self.is_body)
    }

    /// Says what an attempt that ran out of time says about the upstream.
    #[cold]
    fn cut_off(&self, now: Instant) -> Outcome {
        let Some(UnderWay { since, deadline, is_callers, .. }) = self.under_way else {
            return Outcome::Neutral(Neutral::LocalReject);
        };
        let had_its_time = now - since >= self.frame.params.timeout.attempt;
        let phase = if had_its_time { Phase::Attempt } else { Phase::Total };
        debug_assert!(deadline.has_passed(now), "it was cut off before its time");
        self.tell(now, Kind::TimedOut { phase });
        if is_callers && !had_its_time {
            Outcome::Neutral(Neutral::CallerDeadline)
        } else {
            Outcome::Failure(Failure::TimedOut)
        }
    }

    /// Returns what the attempt counts as for the breaker, where a slow answer is a failure.
    #[inline]
    fn slow_counted(&self, outcome: Outcome, now: Instant) -> Outcome {
        // Looked at first: subtracting instants costs more.
        match (&self.frame.params.breaker, &self.under_way) {
            (Some(breaker), Some(UnderWay { since, .. })) if breaker.slow.is_some() => {
                breaker.counted(outcome, now - *since)
            }
            _ => outcome,
        }
    }

    fn breaker(&self) -> &Breaker {
        let own = self.frame.params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        match &self.endpoints {
            Some(endpoints) if own => &endpoints.breakers[usize::from(self.endpoint.0)],
            _ => &self.frame.core.breaker,
        }
    }

    /// Returns what the breaker guards.
    fn guarded(&self) -> EndpointId {
        let own = self.frame.params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        if self.endpoints.is_some() && own { self.endpoint } else { EndpointId::ALL }
    }

    /// Reports to the breaker what became of its grant.
    #[inline]
    fn report(&mut self, outcome: Outcome, now: Instant) {
        if let (Some(params), Some(grant)) = (&self.frame.params.breaker, self.grant.take()) {
            let (core, breaker) = (self.frame.core, self.breaker());
            let change = core.record(breaker, params, grant, outcome, now);
            if change.is_some() {
                self.breaker_changed(change, now);
            }
        }
    }

    /// Tells the attempt's end; returns how long it took.
    #[inline]
    fn tell_end(&mut self, outcome: Outcome, now: Instant) -> Duration {
        let Some(UnderWay { since, .. }) = self.under_way.take() else {
            return Duration::ZERO;
        };
        let (core, params) = (self.frame.core, self.frame.params);
        let is_asked = core.observers.listens()
            || self.endpoints.is_some()
            || params.adaptive.is_some()
            || params.hedge.is_some();
        if !is_asked {
            // Subtracting instants costs more than all these looks.
            return Duration::ZERO;
        }
        let (endpoint, took) = (self.endpoint, now - since);
        self.tell(now, Kind::AttemptEnded { endpoint, outcome, took });
        if let Some(endpoints) = &self.endpoints {
            endpoints.picker.end(endpoint);
            endpoints.tallies[usize::from(endpoint.0)].count(outcome, took, now);
            self.judge_endpoint(endpoints, outcome, now);
        }
        took
    }

    fn judge_endpoint(&self, endpoints: &Endpoints, outcome: Outcome, now: Instant) {
        let Some(params) = &self.frame.params.outlier else { return };
        let outcome = self.frame.params.counted(outcome);
        let Some(change) = endpoints.picker.record(params, self.endpoint, outcome, now) else {
            return;
        };
        let endpoint = change.endpoint;
        let address = endpoints.name(endpoint).map_or("", |name| name);
        let kind = match change.what {
            What::Ejected { ejected_for, why } => {
                UpstreamEventKind::EndpointEjected { endpoint, address, ejected_for, why }
            }
            What::Returned => UpstreamEventKind::EndpointReturned { endpoint, address },
        };
        self.frame.core.tell_change(now, Some(self.frame.call()), kind);
    }

    /// Tells what happened to the attempt.
    #[inline]
    fn tell(&self, now: Instant, kind: Kind<'_>) {
        self.frame.tell(now, Some(self.attempt), kind);
    }

    /// Tells how the attempt changed the breaker.
    fn breaker_changed(&self, change: Option<BreakerTransition>, now: Instant) {
        self.frame.core.breaker_changed(self.guarded(), change, now, Some(self.frame.call()));
    }

    /// Ends an attempt that is dropped before its end.
    #[cold]
    fn drop_out(&mut self, now: Instant) {
        if self.under_way.is_none() || !self.frame.is_panic() {
            return self.give_up(self.frame.context.cancel.reason(), now);
        }
        if !self.runs {
            return self.give_up(CancelReason::HedgeLost, now);
        }
        let outcome = Outcome::Failure(Failure::Panicked);
        self.report(outcome, now);
        let took = self.tell_end(outcome, now);
        self.tell_gate(took, outcome, now, true);
    }

    #[cold]
    fn give_up(&mut self, reason: CancelReason, now: Instant) {
        let outcome = Outcome::Neutral(neutral(reason));
        self.report(outcome, now);
        let Some(UnderWay { since, .. }) = self.under_way else { return };
        let took = self.tell_end(outcome, now);
        self.tell_gate(took, outcome, now, false);
        self.leave_ghost(since, now);
    }

    /// Leaves the place taken until an attempt that nobody waits for would have had its own time,
    /// whatever deadline its caller had.
    #[cold]
    fn leave_ghost(&mut self, since: Instant, now: Instant) {
        let limit = Deadline::after(since, self.frame.params.timeout.attempt);
        let holds = self.frame.params.limit.as_ref().is_some_and(|limit| limit.holds_abandoned);
        if holds && self.has_place && !limit.has_passed(now) {
            self.has_place = false;
            let core = self.frame.core;
            core.gate.abandon(self.frame.client, since, limit.instant(), now);
        }
    }
}

impl Drop for AttemptGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.grant.is_some() || self.under_way.is_some() {
            self.drop_out(clock::now());
        }
        if self.has_place {
            self.frame.core.gate.end_place(self.frame.client, self.is_body);
        }
    }
}

#[cold]
fn pick(
    core: &Core,
    params: &Params,
    endpoints: &Endpoints,
    tried: u64,
    now: Instant,
) -> EndpointId {
    let per_endpoint = params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
    let is_usable = |id: EndpointId| {
        use seawall_core::BreakerState::{Isolated, Open};
        let state = endpoints.breakers[usize::from(id.0)].state(now);
        !per_endpoint || !matches!(state, Open | Isolated)
    };
    endpoints.picker.pick(tried, now, &mut core.dice.fork(), is_usable)
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
