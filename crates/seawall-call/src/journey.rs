//! One call on its way: where it stands, what it may still do, and what it tells.
//!
//! Does not know: the attempt, or its result's type. Invariant: a retry that the budget was told of
//! is ended exactly once, at the latest when the journey is dropped; a call that is dropped before
//! its end is told as abandoned. What an attempt holds is in [`Hold`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{
    Attempt, BreakerState, CancelCell, CancelReason, Chaos, Deadline, EndpointId, Event, Fate,
    Neutral, Outcome, Phase, Priority, RetryDenied, ShedReason,
};
use seawall_policy::Params;
use seawall_policy::backoff::Backoff;
use seawall_policy::bulkhead::Client;
use seawall_policy::chaos::Injected;
use seawall_policy::retry::{self, Decision, Ended};
use seawall_policy::shed;

use crate::gate::{Entry, Waiter};
use crate::hold::{Begin, Hold, Refused};
use crate::policy::Core;
use crate::{Answer, CallError, Context, Ticket, clock};

mod wait;

/// Holds one call on its way.
pub(crate) struct Journey<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) params: &'a Params,
    cancel: &'a CancelCell,
    priority: Priority,
    key: Option<u64>,
    client: Client,
    caller_attempt: u32,
    begun: Instant,
    deadline: Deadline,
    /// Whether the deadline is the caller's own rather than the policy's.
    is_callers: bool,
    /// How many attempts were begun, hedged ones included.
    attempts: u32,
    /// How many times the call was tried: attempts without the hedged ones.
    tries: u32,
    /// A bit for each endpoint that was tried.
    tried: u64,
    /// The endpoint of the last attempt.
    last: EndpointId,
    backoff: Backoff,
    /// Whether a retry of the budget is under way; begun by `decide`, ended by `end_retry`.
    is_retry: bool,
    /// What stood against another attempt after the last one.
    denied: Option<RetryDenied>,
    /// Where the call stands; `None` at its end.
    phase: Option<Phase>,
    /// The clock when it was last read.
    pub(crate) now: Instant,
}

/// Says why a call ends without a word of the upstream.
pub(crate) type Refusal = CallError<Infallible>;

impl<'a> Journey<'a> {
    pub(crate) fn begin(core: &'a Arc<Core>, params: &'a Params, context: Context<'a>) -> Self {
        let now = clock::now();
        core.tell(&Event::CallStarted { upstream: core.upstream });
        let total = Deadline::after(now, params.timeout.total);
        let callers = context.deadline.filter(|own| *own < total);
        Self {
            core,
            params,
            cancel: context.cancel,
            priority: context.priority,
            key: context.key,
            client: context.client,
            caller_attempt: context.caller_attempt,
            begun: now,
            deadline: callers.unwrap_or(total),
            is_callers: callers.is_some(),
            attempts: 0,
            tries: 0,
            tried: 0,
            last: EndpointId(0),
            backoff: Backoff::default(),
            is_retry: false,
            denied: None,
            phase: Some(Phase::Total),
            now,
        }
    }

    /// Takes what a call takes once, however many attempts it makes.
    pub(crate) fn enter(&mut self) -> Result<(), Refusal> {
        if let Some(params) = &self.params.shed
            && let Err(why) = shed::admit(params, self.core.load(), self.priority)
        {
            return Err(self.shed(why));
        }
        if let Some(rate) = &self.params.rate
            && let Err(retry_after) = self.core.rate.take(rate, self.key, self.now)
        {
            return Err(self.reject(CallError::RateLimited { retry_after }));
        }
        if let Some(budget) = &self.params.budget {
            self.core.budget.deposit(budget);
        }
        if let Some(hedge) = &self.params.hedge {
            self.core.hedge.deposit(hedge);
        }
        Ok(())
    }

    /// Makes what will hold all that one attempt takes.
    #[inline]
    pub(crate) fn hold(&self) -> Hold<'a> {
        Hold::new(self.core, self.params, self.cancel, self.client)
    }

    /// Takes what one attempt needs, or a place in the queue.
    #[inline]
    pub(crate) fn admit(&mut self, hold: &mut Hold<'a>) -> Result<Option<Waiter<'a>>, Refusal> {
        if self.deadline.has_passed(self.now) {
            let (upstream, phase) = (self.core.upstream, Phase::Total);
            self.core.tell(&Event::TimedOut { upstream, phase });
            return Err(self.time_out());
        }
        self.ask(hold)?;
        match self.take_place() {
            Entry::Admitted => {
                hold.take_place();
                Ok(None)
            }
            Entry::Waits(waiter) => {
                hold.give_grant_back(self.now);
                Ok(Some(waiter))
            }
            Entry::Full => {
                hold.give_grant_back(self.now);
                Err(self.reject(CallError::QueueFull { attempts: self.attempts }))
            }
            Entry::Shed(why) => {
                hold.give_grant_back(self.now);
                Err(self.shed(why))
            }
        }
    }

    /// Takes a place, or a place in the queue; if there are none, one that a caller holds who does
    /// not take its answer is taken back.
    #[inline]
    fn take_place(&self) -> Entry<'a> {
        let gate = &self.core.gate;
        let left = self.deadline.remaining(self.now);
        let enter = || gate.enter(self.client, self.priority, true, left, self.now);
        match enter() {
            Entry::Admitted => Entry::Admitted,
            entry => match (gate.make_room(self.client, self.now), entry) {
                // Whoever has waited longest has the place, and left its own in the queue.
                (true, Entry::Full) => enter(),
                (_, entry) => entry,
            },
        }
    }

    #[inline]
    fn ask(&mut self, hold: &mut Hold<'a>) -> Result<(), Refusal> {
        hold.ask(self.tried, self.now).map_err(|Refused { retry_after, trip }| {
            let open_for = trip
                .and_then(|trip| trip.since)
                .map(|since| self.now.saturating_duration_since(since));
            let (cause, attempts) = (trip.map(|trip| trip.why), self.attempts);
            self.reject(CallError::BreakerOpen { retry_after, open_for, cause, attempts })
        })
    }

    /// Takes what a hedged attempt needs, if it can be had at once and paid for.
    pub(crate) fn admit_hedge(&mut self) -> Option<Hold<'a>> {
        let core = self.core;
        // The task may have woken late.
        if self.deadline.has_passed(self.now) {
            return None;
        }
        // A breaker that refuses it refuses nothing to the caller.
        let mut hold = self.hold();
        hold.ask(self.tried, self.now).ok()?;
        let left = self.deadline.remaining(self.now);
        if let Entry::Admitted = core.gate.enter(self.client, self.priority, false, left, self.now)
        {
            hold.take_place();
            // Paid for last, so that nothing is taken for an attempt that is not made.
            if self.pay_hedge() {
                return Some(hold);
            }
        }
        hold.give_grant_back(self.now);
        None
    }

    /// Pays for one hedged attempt, out of the share of hedges and out of the budget.
    fn pay_hedge(&self) -> bool {
        let core = self.core;
        if !self.params.hedge.as_ref().is_some_and(|hedge| core.hedge.afford(hedge)) {
            return false;
        }
        let budget = self.params.budget.as_ref();
        let is_paid = budget.is_none_or(|budget| core.budget.withdraw(budget, self.now));
        if !is_paid {
            core.hedge.refund();
        }
        is_paid
    }

    /// Begins an attempt.
    #[inline]
    pub(crate) fn begin_attempt(&mut self, hold: &mut Hold<'a>, is_hedge: bool) -> Attempt {
        self.attempts += 1;
        self.tries += u32::from(!is_hedge);
        self.tried |= 1_u64.checked_shl(u32::from(hold.endpoint.0)).unwrap_or(0);
        self.last = hold.endpoint;
        self.turn(Phase::Attempt);
        let timeout = &self.params.timeout;
        let deadline = Deadline::after(self.now, timeout.attempt).earlier(self.deadline);
        let (number, now, is_callers) = (self.attempts, self.now, self.is_callers);
        hold.begin(Begin { number, is_hedge, now, deadline, is_callers });
        Attempt {
            number,
            endpoint: hold.endpoint,
            is_hedge,
            deadline,
            call_deadline: self.deadline,
            connect: timeout.connect,
            idle: timeout.idle,
            stream_idle: timeout.stream_idle,
            is_stream: false,
        }
    }

    /// Decides what chaos does to an attempt.
    #[inline]
    pub(crate) fn inject(&self) -> Option<Injected> {
        if self.core.has_chaos() { self.draw_chaos() } else { None }
    }

    #[cold]
    fn draw_chaos(&self) -> Option<Injected> {
        let core = self.core;
        let plan = core.chaos.load();
        let injected = plan.as_ref()?.draw(self.key, self.now, &mut core.dice.fork())?;
        let what = match injected {
            Injected::Latency(_) => Chaos::Latency,
            Injected::Fault(what) => what,
        };
        core.tell(&Event::ChaosInjected { upstream: core.upstream, what });
        Some(injected)
    }

    /// Returns when an attempt that has just begun is hedged.
    #[inline]
    pub(crate) fn hedge_at(&self, may_hedge: impl FnOnce() -> bool) -> Option<Instant> {
        let params = self.params.hedge.as_ref()?;
        if !may_hedge() || params.extra_max == 0 {
            return None;
        }
        self.now.checked_add(self.core.hedge.after(params, self.now)?)
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

    /// Decides whether another attempt is made, and how long to wait before it.
    #[inline]
    pub(crate) fn next(
        &mut self,
        outcome: Outcome,
        may_repeat: impl FnOnce() -> Result<(), RetryDenied>,
    ) -> Option<Duration> {
        if !outcome.is_against_upstream() {
            return None;
        }
        self.decide(outcome, may_repeat())
    }

    #[cold]
    fn decide(
        &mut self,
        outcome: Outcome,
        may_repeat: Result<(), RetryDenied>,
    ) -> Option<Duration> {
        self.end_retry();
        let (core, upstream) = (self.core, self.core.upstream);
        let params = self.params.retry.as_ref()?;
        // The attempt may have been the one that opened the breaker.
        let is_open = self.params.breaker.as_ref().is_some_and(|breaker| {
            match core.breaker_state(breaker.per_endpoint, self.now) {
                BreakerState::Open => !breaker.is_dry_run,
                state => state == BreakerState::Isolated,
            }
        });
        let may_repeat = if is_open { Err(RetryDenied::Breaker) } else { may_repeat };
        let ended = Ended {
            number: self.tries,
            outcome,
            may_repeat,
            deadline: self.deadline,
            caller_attempt: self.caller_attempt,
            in_flight: core.gate.counts().in_flight,
        };
        let budget = self.params.budget.as_ref().map(|params| (&core.budget, params));
        let (backoff, mut chance) = (&mut self.backoff, core.dice.fork());
        match retry::decide(params, budget, &ended, backoff, self.now, &mut chance) {
            Decision::After { delay, reason } => {
                self.is_retry = budget.is_some();
                let number = self.attempts + 1;
                core.tell(&Event::RetryScheduled { upstream, number, delay, reason });
                Some(delay)
            }
            Decision::Stop(why) => {
                self.denied = why;
                if let Some(why) = why {
                    core.tell(&Event::RetryDenied { upstream, why });
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
        tokio::time::sleep_until((self.now + delay).into()).await;
        self.read_clock();
        self.turn(Phase::Total);
    }

    /// Ends the retry that is under way, if one is.
    fn end_retry(&mut self) {
        if std::mem::take(&mut self.is_retry) {
            self.core.budget.end();
        }
    }

    /// Ends the call with the upstream's word, good or bad; the place goes with it.
    #[inline]
    pub(crate) fn answer<T>(
        &mut self,
        value: T,
        outcome: Outcome,
        hold: &mut Hold<'a>,
        is_hedge: bool,
    ) -> Answer<T> {
        let fate = match outcome {
            Outcome::Failure(_) | Outcome::Overload { .. } => Fate::Failed,
            Outcome::Success | Outcome::Neutral(_) if is_hedge => Fate::OkHedged,
            Outcome::Success | Outcome::Neutral(_) if self.tries == 1 => Fate::Ok,
            Outcome::Success | Outcome::Neutral(_) => Fate::OkAfterRetry,
        };
        self.end(fate);
        let is_body = hold.hand_over_place();
        let endpoint: EndpointId = hold.endpoint;
        let ticket = Ticket::holding(self.core, endpoint, self.client, is_body);
        let (attempts, denied) = (self.attempts, self.denied);
        Answer { value, fate, attempts, denied, endpoint, ticket }
    }

    /// Ends the call with the last attempt's error.
    pub(crate) fn fail<E>(&mut self, error: E, outcome: Outcome) -> CallError<E> {
        let (attempts, denied, endpoint) = (self.attempts, self.denied, Some(self.last));
        let error = CallError::Failed { error, attempts, denied, endpoint };
        self.end(match outcome {
            Outcome::Neutral(Neutral::ClientGone) => Fate::Cancelled,
            _ => error.fate(),
        });
        error
    }

    /// Ends the call because time ran out.
    #[cold]
    pub(crate) fn time_out(&mut self) -> Refusal {
        let is_total = self.deadline.has_passed(self.now);
        let phase = if is_total { Phase::Total } else { Phase::Attempt };
        let (attempts, denied) = (self.attempts, self.denied);
        let endpoint = (attempts > 0).then_some(self.last);
        let error = CallError::TimedOut { phase, attempts, denied, endpoint };
        self.end(error.fate());
        error
    }

    #[cold]
    fn shed(&mut self, why: ShedReason) -> Refusal {
        let (upstream, priority) = (self.core.upstream, self.priority);
        self.core.tell(&Event::Shed { upstream, priority, why });
        self.reject(CallError::Shed { priority, why, attempts: self.attempts })
    }

    /// Ends the call because a strategy refused it.
    #[cold]
    fn reject(&mut self, error: Refusal) -> Refusal {
        let (upstream, fate) = (self.core.upstream, error.fate());
        self.core.tell(&Event::Rejected { upstream, fate });
        self.end(fate);
        error
    }

    #[inline]
    fn end(&mut self, fate: Fate) {
        self.phase = None;
        let (upstream, attempts, took) = (self.core.upstream, self.attempts, self.now - self.begun);
        self.core.tell(&Event::CallEnded { upstream, fate, attempts, took });
    }

    #[inline]
    fn turn(&mut self, phase: Phase) {
        self.phase = Some(phase);
    }

    /// Ends a call that was given up.
    #[cold]
    fn abandon(&mut self, phase: Phase) {
        self.read_clock();
        let (upstream, reason) = (self.core.upstream, self.cancel.reason());
        if reason == CancelReason::ClientGone && self.params.adaptive.is_some() {
            self.core.gate.left(self.now - self.begun, self.now);
        }
        self.core.tell(&Event::Abandoned { upstream, phase, reason });
        self.end(Fate::Cancelled);
    }
}

impl Drop for Journey<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(phase) = self.phase {
            self.abandon(phase);
        }
        self.end_retry();
    }
}
