//! One call on its way: what it holds, where it stands, and what it tells.
//!
//! Does not know: the attempt, or its result's type. Invariant: what it holds (a grant of the
//! breaker, a place) is given back exactly once, at the latest when it is dropped; a call that is
//! dropped before its end is told as abandoned and is neutral to the breaker.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{
    Attempt, BreakerState, CancelCell, CancelReason, Deadline, EndpointId, Event, Failure, Fate,
    Neutral, Outcome, Phase, RetryDenied,
};
use seawall_policy::Params;
use seawall_policy::backoff::Backoff;
use seawall_policy::breaker::{Admit, Grant};
use seawall_policy::retry::{self, Decision, Ended};

use crate::gate::{Entry, Waiter};
use crate::policy::Core;
use crate::race::Race;
use crate::{Answer, CallError, Context, Ticket, clock};

/// Holds one call on its way.
pub(crate) struct Journey<'a> {
    core: &'a Arc<Core>,
    params: &'a Params,
    cancel: &'a CancelCell,
    begun: Instant,
    deadline: Deadline,
    /// Whether the deadline is the caller's own rather than the policy's.
    is_callers: bool,
    /// How many attempts were begun.
    attempts: u32,
    /// Where the call stands; `None` at its end.
    phase: Option<Phase>,
    /// When the phase began.
    since: Instant,
    /// The clock when it was last read.
    now: Instant,
    /// The breaker's leave for the attempt; taken by `ask_breaker`, given back by `report`.
    grant: Option<Grant>,
    /// How many times the caller has tried.
    caller_attempt: u32,
    backoff: Backoff,
    /// Whether a retry of the budget is under way; begun by `decide`, ended by `end_retry`.
    is_retry: bool,
    /// A place in the bulkhead; taken by `admit` or `wait`, given back by `leave_place` or with
    /// the answer's ticket.
    has_place: bool,
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
            begun: now,
            deadline: callers.unwrap_or(total),
            is_callers: callers.is_some(),
            attempts: 0,
            phase: Some(Phase::Total),
            since: now,
            now,
            grant: None,
            caller_attempt: context.caller_attempt,
            backoff: Backoff::default(),
            is_retry: false,
            has_place: false,
        }
    }

    /// Takes what a call takes once, however many attempts it makes.
    pub(crate) fn enter(&mut self) -> Result<(), Refusal> {
        if let Some(rate) = &self.params.rate
            && let Err(retry_after) = self.core.rate.take(rate, self.now)
        {
            return Err(self.reject(CallError::RateLimited { retry_after }));
        }
        if let Some(budget) = &self.params.budget {
            self.core.budget.deposit(budget);
        }
        Ok(())
    }

    /// Takes the breaker's leave and a place for one attempt, or a place in the queue.
    #[inline]
    pub(crate) fn admit(&mut self) -> Result<Option<Waiter<'a>>, Refusal> {
        if self.deadline.has_passed(self.now) {
            let (upstream, phase) = (self.core.upstream, Phase::Total);
            self.core.tell(&Event::TimedOut { upstream, phase });
            return Err(self.time_out());
        }
        self.ask_breaker()?;
        match self.core.gate.enter() {
            Entry::Admitted => {
                self.has_place = true;
                Ok(None)
            }
            Entry::Waits(waiter) => {
                // Whoever waits must not hold a probe that another could make.
                self.report(LOCAL);
                Ok(Some(waiter))
            }
            Entry::Full => {
                self.report(LOCAL);
                Err(self.reject(CallError::QueueFull { attempts: self.attempts }))
            }
        }
    }

    /// Waits in the queue for a place, and then asks the breaker again: it may have opened.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the queue.
    pub(crate) async fn wait(&mut self, mut waiter: Waiter<'a>) -> Result<(), Refusal> {
        let (core, upstream) = (self.core, self.core.upstream);
        core.tell(&Event::Queued { upstream, waiting: waiter.waiting });
        self.turn(Phase::Queue);
        let wait = waiter.wait_max.min(self.deadline.remaining(self.now) / QUEUE_SHARE);
        let until = self.now + wait;
        let handed = Race::new(&mut waiter, until).await;
        self.read_clock();
        let waited = self.now - self.since;
        self.turn(Phase::Total);
        // A place that came too late goes to the next: an expired waiter is never dispatched.
        let admitted = handed.is_some() && self.now < until;
        core.tell(&Event::Dequeued { upstream, waited, admitted });
        if !admitted {
            drop(waiter);
            let attempts = self.attempts;
            return Err(self.reject(CallError::QueueTimeout { waited, attempts }));
        }
        waiter.keep();
        self.has_place = true;
        self.ask_breaker()
    }

    #[inline]
    fn ask_breaker(&mut self) -> Result<(), Refusal> {
        let Some(params) = &self.params.breaker else { return Ok(()) };
        let lease = self.params.timeout.attempt.saturating_add(LEASE_SLACK);
        let draw = || self.core.dice.fork().unit();
        match self.core.breaker.admit(params, self.now, lease, draw) {
            Admit::Pass(grant) | Admit::Probe(grant) => {
                self.core.breaker_changed(grant.change());
                self.grant = Some(grant);
            }
            Admit::Spared(grant) => {
                self.core.tell(&Event::BreakerSpared { upstream: self.core.upstream });
                self.grant = Some(grant);
            }
            Admit::Refused { retry_after } => {
                let attempts = self.attempts;
                return Err(self.reject(CallError::BreakerOpen { retry_after, attempts }));
            }
        }
        Ok(())
    }

    /// Begins an attempt.
    #[inline]
    pub(crate) fn begin_attempt(&mut self) -> Attempt {
        self.attempts += 1;
        self.turn(Phase::Attempt);
        let (upstream, number) = (self.core.upstream, self.attempts);
        self.core.tell(&Event::AttemptStarted {
            upstream,
            endpoint: EndpointId(0),
            number,
            is_hedge: false,
        });
        let timeout = &self.params.timeout;
        Attempt {
            number,
            deadline: Deadline::after(self.now, timeout.attempt).earlier(self.deadline),
            call_deadline: self.deadline,
            connect: timeout.connect,
            idle: timeout.idle,
            endpoint: EndpointId(0),
            is_hedge: false,
        }
    }

    /// Reads the clock: time may have passed.
    #[inline]
    pub(crate) fn read_clock(&mut self) {
        self.now = clock::now();
    }

    /// Ends an attempt; without an outcome it was cut off by its time limit.
    #[inline]
    pub(crate) fn end_attempt(&mut self, outcome: Option<Outcome>) -> Outcome {
        let outcome = outcome.unwrap_or_else(|| self.cut_off());
        self.report(outcome);
        self.tell_attempt(outcome);
        self.turn(Phase::Total);
        outcome
    }

    /// Says what an attempt that ran out of time says about the upstream.
    #[cold]
    fn cut_off(&self) -> Outcome {
        self.core.tell(&Event::TimedOut { upstream: self.core.upstream, phase: self.limit() });
        let had_its_time = self.now - self.since >= self.params.timeout.attempt;
        if self.is_callers && !had_its_time {
            Outcome::Neutral(Neutral::CallerDeadline)
        } else {
            Outcome::Failure(Failure::TimedOut)
        }
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
        let (params, number) = (self.params.retry.as_ref()?, self.attempts);
        // The attempt may have been the one that opened the breaker.
        let is_open =
            self.params.breaker.is_some() && core.breaker.state(self.now) == BreakerState::Open;
        let may_repeat = if is_open { Err(RetryDenied::Breaker) } else { may_repeat };
        let ended = Ended {
            number,
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
                let number = number + 1;
                self.is_retry = budget.is_some();
                core.tell(&Event::RetryScheduled { upstream, number, delay, reason });
                Some(delay)
            }
            Decision::Stop(why) => {
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
    /// Nothing is held meanwhile.
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

    /// Gives the place back.
    pub(crate) fn leave_place(&mut self) {
        if std::mem::take(&mut self.has_place) {
            self.core.gate.release();
        }
    }

    /// Ends the call with the upstream's word, good or bad; the place goes with it.
    #[inline]
    pub(crate) fn answer<T>(&mut self, value: T, outcome: Outcome) -> Answer<T> {
        let fate = match outcome {
            Outcome::Failure(_) | Outcome::Overload { .. } => Fate::Failed,
            Outcome::Success | Outcome::Neutral(_) if self.attempts == 1 => Fate::Ok,
            Outcome::Success | Outcome::Neutral(_) => Fate::OkAfterRetry,
        };
        self.end(fate);
        self.has_place = false;
        Answer { value, fate, attempts: self.attempts, ticket: Ticket::holding(self.core) }
    }

    /// Ends the call with the last attempt's error.
    pub(crate) fn fail<E>(&mut self, error: E) -> CallError<E> {
        let error = CallError::Failed { error, attempts: self.attempts };
        self.end(error.fate());
        error
    }

    /// Ends the call because time ran out.
    #[cold]
    pub(crate) fn time_out(&mut self) -> Refusal {
        let error = CallError::TimedOut { phase: self.limit(), attempts: self.attempts };
        self.end(error.fate());
        error
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

    /// Returns which time limit has passed: the call's or only the attempt's.
    fn limit(&self) -> Phase {
        if self.deadline.has_passed(self.now) { Phase::Total } else { Phase::Attempt }
    }

    #[inline]
    fn turn(&mut self, phase: Phase) {
        self.phase = Some(phase);
        self.since = self.now;
    }

    /// Reports to the breaker what became of its grant.
    #[inline]
    fn report(&mut self, outcome: Outcome) {
        if let (Some(params), Some(grant)) = (&self.params.breaker, self.grant.take()) {
            self.core.record(params, grant, outcome, self.now);
        }
    }

    #[inline]
    fn tell_attempt(&self, outcome: Outcome) {
        let (upstream, number, took) = (self.core.upstream, self.attempts, self.now - self.since);
        self.core.tell(&Event::AttemptEnded {
            upstream,
            endpoint: EndpointId(0),
            number,
            outcome,
            took,
        });
    }

    /// Ends a call that was given up.
    #[cold]
    fn abandon(&mut self, phase: Phase) {
        self.read_clock();
        let (upstream, reason) = (self.core.upstream, self.cancel.reason());
        let outcome = Outcome::Neutral(neutral(reason));
        self.report(outcome);
        match phase {
            Phase::Attempt => self.tell_attempt(outcome),
            Phase::Queue => {
                let (waited, admitted) = (self.now - self.since, false);
                self.core.tell(&Event::Dequeued { upstream, waited, admitted });
            }
            _ => {}
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
        self.leave_place();
    }
}

/// Says what a call that is given up teaches: nothing, for this reason.
fn neutral(reason: CancelReason) -> Neutral {
    match reason {
        CancelReason::ClientGone => Neutral::ClientGone,
        CancelReason::Shutdown => Neutral::Shutdown,
        CancelReason::HedgeLost => Neutral::HedgeLost,
    }
}

/// Is what an attempt that was never made says.
const LOCAL: Outcome = Outcome::Neutral(Neutral::LocalReject);

/// No call waits in the queue for more than this part of the time it has left.
const QUEUE_SHARE: u32 = 5;

/// How much longer than its time limit a probe may take to report; only a task that is stuck or
/// leaked takes longer, and the breaker must not wait for it.
const LEASE_SLACK: Duration = Duration::from_secs(1);
