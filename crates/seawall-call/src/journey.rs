//! One call on its way: where it stands, what it may still do, and what it tells.
//!
//! Does not know: the attempt, or its result's type. Invariant: a retry that the budget was told of
//! is ended exactly once, at the latest when the journey is dropped. What an attempt holds is in
//! [`AttemptGuard`], how a call ends in `journey/end.rs`.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use seawall_core::{
    Attempt, AttemptId, BreakerState, CallEventKind as Kind, Chaos, Deadline, EndpointId, Outcome,
    Phase, RetryDenied,
};
use seawall_policy::backoff::Backoff;
use seawall_policy::chaos::Injected;
use seawall_policy::outlier;
use seawall_policy::retry::{self, AttemptEnd, Decision};
use seawall_policy::shed;

use crate::frame::Frame;
use crate::gate::{Entry, Waiter};
use crate::guard::{AttemptGuard, Begin, Refused};
use crate::{CallError, clock};

mod end;
mod wait;

pub(crate) use end::Last;

/// Holds one call on its way.
pub(crate) struct Journey<'a> {
    pub(crate) frame: &'a Frame<'a>,
    begun: Instant,
    deadline: Deadline,
    /// Whether the deadline is the caller's own rather than the policy's.
    is_callers: bool,
    /// How many attempts were begun, hedged ones included.
    attempts: u32,
    /// How many times the call was tried: attempts without the hedged ones.
    tries: u32,
    /// The endpoints that were tried, see [`outlier::tried`].
    tried: u64,
    /// The endpoint of the last attempt.
    last: EndpointId,
    backoff: Backoff,
    /// Whether the call has paid its share of hedged calls.
    is_hedged: bool,
    /// Whether a retry of the budget is under way; begun by `decide`, ended by `end_retry`.
    is_retry: bool,
    /// What stood against another attempt after the last one.
    denied: Option<RetryDenied>,
    /// Where the call stands; `None` at its end.
    phase: Option<Phase>,
    /// The clock when it was last read.
    pub(crate) now: Instant,
}

/// What the judge says of another attempt.
pub(crate) struct Repeat {
    pub(crate) may_repeat: Result<(), RetryDenied>,
    /// How long to wait before it, where that is not left to the backoff.
    pub(crate) delay: Option<Duration>,
}

/// Says why a call ends without a word of the upstream.
pub(crate) type Refusal = CallError<Infallible>;

impl<'a> Journey<'a> {
    #[inline]
    pub(crate) fn begin(frame: &'a Frame<'a>) -> Self {
        let (now, context) = (clock::now(), frame.context);
        frame.tell(now, None, Kind::Started);
        let total = Deadline::after(now, frame.params.timeout.total);
        let callers = context.deadline.filter(|own| *own < total);
        Self {
            frame,
            begun: now,
            deadline: callers.unwrap_or(total),
            is_callers: callers.is_some(),
            attempts: 0,
            tries: 0,
            tried: 0,
            last: EndpointId(0),
            backoff: Backoff::default(),
            is_hedged: false,
            is_retry: false,
            denied: None,
            phase: Some(Phase::Total),
            now,
        }
    }

    /// Takes what a call takes once, however many attempts it makes.
    #[inline]
    pub(crate) fn enter(&mut self) -> Result<(), Refusal> {
        if let Some(params) = &self.frame.params.shed
            && let Err(why) =
                shed::admit(params, self.frame.core.load(), self.frame.context.priority)
        {
            return Err(self.shed(why));
        }
        if let Some(rate) = &self.frame.params.rate
            && let Err(retry_after) =
                self.frame.core.rate.take(rate, self.frame.context.key, self.now)
        {
            return Err(self.reject(CallError::RateLimited { retry_after }));
        }
        if let Some(budget) = &self.frame.params.budget {
            self.frame.core.budget.deposit(budget);
        }
        if let Some(hedge) = &self.frame.params.hedge {
            self.frame.core.hedge.deposit(hedge);
        }
        Ok(())
    }

    /// Makes what will hold all that one attempt takes.
    #[inline]
    pub(crate) fn guard(&self) -> AttemptGuard<'a> {
        AttemptGuard::new(self.frame, self.to_come(false))
    }

    /// Returns what events call the attempt that is to come.
    #[inline]
    fn to_come(&self, is_hedge: bool) -> AttemptId {
        AttemptId { number: self.attempts + 1, is_hedge }
    }

    /// Takes what one attempt needs, or a place in the queue.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        guard: &mut AttemptGuard<'a>,
    ) -> Result<Option<Waiter<'a>>, Refusal> {
        if self.deadline.has_passed(self.now) {
            return Err(self.too_late());
        }
        self.ask(guard)?;
        match self.take_place() {
            Entry::Admitted => {
                guard.take_place();
                Ok(None)
            }
            Entry::Waits(waiter) => {
                guard.give_grant_back(self.now);
                Ok(Some(waiter))
            }
            Entry::Full => {
                guard.give_grant_back(self.now);
                Err(self.reject(CallError::QueueFull))
            }
            Entry::Shed(why) => {
                guard.give_grant_back(self.now);
                Err(self.shed(why))
            }
        }
    }

    /// Takes a place, or a place in the queue; if there are none, one that a caller holds who does
    /// not take its answer is taken back.
    #[inline]
    fn take_place(&self) -> Entry<'a> {
        match self.enter_gate() {
            Entry::Admitted => Entry::Admitted,
            entry => self.take_place_back(entry),
        }
    }

    #[cold]
    fn take_place_back(&self, entry: Entry<'a>) -> Entry<'a> {
        let is_back = self.frame.core.gate.make_room(self.frame.client, self.now);
        match entry {
            // Whoever has waited longest has the place, and left its own in the queue.
            Entry::Full if is_back => self.enter_gate(),
            entry => entry,
        }
    }

    #[inline]
    fn enter_gate(&self) -> Entry<'a> {
        let gate = &self.frame.core.gate;
        gate.enter(self.frame.client, self.frame.context.priority, true, self.deadline, self.now)
    }

    #[inline]
    fn ask(&mut self, guard: &mut AttemptGuard<'a>) -> Result<(), Refusal> {
        guard.ask(self.tried, self.now).map_err(|Refused { retry_after, trip }| {
            let open_for = trip
                .and_then(|trip| trip.since)
                .map(|since| self.now.saturating_duration_since(since));
            let cause = trip.map(|trip| trip.why);
            self.reject(CallError::BreakerOpen { retry_after, open_for, cause })
        })
    }

    /// Takes what a hedged attempt needs, if it can be had at once and paid for.
    pub(crate) fn admit_hedge(&mut self) -> Option<AttemptGuard<'a>> {
        let core = self.frame.core;
        // The task may have woken late.
        if self.deadline.has_passed(self.now) {
            return None;
        }
        // A breaker that refuses it refuses nothing to the caller.
        let mut guard = AttemptGuard::new(self.frame, self.to_come(true));
        guard.ask(self.tried, self.now).ok()?;
        let entry = core.gate.enter(
            self.frame.client,
            self.frame.context.priority,
            false,
            self.deadline,
            self.now,
        );
        if let Entry::Admitted = entry {
            guard.take_place();
            // Paid for last, so that nothing is taken for an attempt that is not made.
            if self.pay_hedge() {
                return Some(guard);
            }
        }
        guard.give_grant_back(self.now);
        None
    }

    /// Pays for one hedged attempt: out of the budget, and the call's first one out of the share of
    /// calls that are hedged.
    fn pay_hedge(&mut self) -> bool {
        let core = self.frame.core;
        let is_first = !self.is_hedged;
        if is_first && !core.hedge.afford() {
            return false;
        }
        let budget = self.frame.params.budget.as_ref();
        let is_paid = budget.is_none_or(|budget| core.budget.withdraw(budget, self.now));
        if is_first && !is_paid {
            core.hedge.refund();
        }
        self.is_hedged |= is_paid;
        is_paid
    }

    /// Begins an attempt.
    #[inline]
    pub(crate) fn begin_attempt(
        &mut self,
        guard: &mut AttemptGuard<'a>,
        is_hedge: bool,
    ) -> Attempt {
        self.attempts += 1;
        self.tries += u32::from(!is_hedge);
        self.tried |= outlier::tried(guard.endpoint);
        self.last = guard.endpoint;
        self.turn(Phase::Attempt);
        let timeout = &self.frame.params.timeout;
        let deadline = Deadline::after(self.now, timeout.attempt).earlier(self.deadline);
        let (now, is_callers) = (self.now, self.is_callers);
        guard.begin(Begin { now, deadline, is_callers });
        let mut attempt = Attempt::first(deadline, timeout.connect, timeout.idle);
        attempt.call = self.frame.context.call;
        attempt.number = self.attempts;
        attempt.endpoint = guard.endpoint;
        attempt.is_hedge = is_hedge;
        attempt.call_deadline = self.deadline;
        attempt.stream_idle = timeout.stream_idle;
        attempt
    }

    /// Decides what chaos does to an attempt.
    #[inline]
    pub(crate) fn inject(&self, attempt: &Attempt) -> Option<Injected> {
        if self.frame.core.has_chaos() { self.draw_chaos(attempt) } else { None }
    }

    #[cold]
    fn draw_chaos(&self, attempt: &Attempt) -> Option<Injected> {
        let core = self.frame.core;
        let plan = core.chaos.load();
        let injected =
            plan.as_ref()?.draw(self.frame.context.key, self.now, &mut core.dice.fork())?;
        let what = match injected {
            Injected::Latency(_) => Chaos::Latency,
            Injected::Fault(what) => what,
        };
        self.frame.tell(self.now, Some(attempt.id()), Kind::ChaosInjected { what });
        Some(injected)
    }

    /// Returns when an attempt that has just begun is hedged.
    #[inline]
    pub(crate) fn hedge_at(&self, may_hedge: impl FnOnce() -> bool) -> Option<Instant> {
        let params = self.frame.params.hedge.as_ref()?;
        if !may_hedge() || params.extra_max == 0 {
            return None;
        }
        let attempt = self.frame.params.timeout.attempt;
        self.now.checked_add(self.frame.core.hedge.after(params, attempt, self.now)?)
    }

    /// Reads the clock: time may have passed.
    #[inline]
    pub(crate) fn read_clock(&mut self) {
        self.now = clock::now();
    }

    /// Takes note that no attempt is under way any more.
    #[inline]
    pub(crate) fn attempts_over(&mut self) {
        self.turn(Phase::Total);
    }

    /// Returns how many attempts were begun.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Decides whether another attempt is made, and how long to wait before it.
    #[inline]
    pub(crate) fn next(
        &mut self,
        outcome: Outcome,
        judge: impl FnOnce() -> Repeat,
    ) -> Option<Duration> {
        if !outcome.is_against_upstream() {
            return None;
        }
        self.decide(outcome, judge())
    }

    #[cold]
    fn decide(
        &mut self,
        outcome: Outcome,
        Repeat { may_repeat, delay }: Repeat,
    ) -> Option<Duration> {
        self.end_retry();
        let core = self.frame.core;
        self.denied = None;
        let params = self.frame.params.retry.as_ref()?;
        // The attempt may have been the one that opened the breaker.
        let is_open = self.frame.params.breaker.as_ref().is_some_and(|breaker| {
            match core.breaker_state(breaker.per_endpoint, self.now) {
                BreakerState::Open => !breaker.is_dry_run,
                state => state == BreakerState::Isolated,
            }
        });
        let may_repeat = if is_open { Err(RetryDenied::Breaker) } else { may_repeat };
        let ended = AttemptEnd {
            number: self.tries,
            outcome,
            may_repeat,
            deadline: self.deadline,
            caller_attempt: self.frame.context.caller_attempt,
            in_flight: core.gate.counts().in_flight,
            delay,
        };
        let budget = self.frame.params.budget.as_ref().map(|params| (&core.budget, params));
        let (backoff, mut chance) = (&mut self.backoff, core.dice.fork());
        match retry::decide(params, budget, &ended, backoff, self.now, &mut chance) {
            Decision::After { delay, reason } => {
                self.is_retry = budget.is_some();
                let kind = Kind::RetryScheduled { delay, reason };
                self.frame.tell(self.now, Some(self.to_come(false)), kind);
                Some(delay)
            }
            Decision::Stop(why) => {
                if let Some(why) = why {
                    self.deny(why);
                }
                None
            }
        }
    }

    /// Waits before the next attempt.
    ///
    /// # Cancel safety
    ///
    /// Nothing is held meanwhile but a retry of the budget, which comes back.
    pub(crate) async fn back_off(&mut self, delay: Duration) {
        self.turn(Phase::Backoff);
        self.frame.set_waits(true);
        tokio::time::sleep_until((self.now + delay).into()).await;
        self.frame.set_waits(false);
        self.read_clock();
        self.turn(Phase::Total);
    }

    /// Ends the retry that is under way, if one is.
    fn end_retry(&mut self) {
        if std::mem::take(&mut self.is_retry) {
            self.frame.core.budget.end();
        }
    }

    #[inline]
    fn turn(&mut self, phase: Phase) {
        self.phase = Some(phase);
    }
}
