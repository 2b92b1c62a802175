//! The call: the one future that carries a plan out.
//!
//! Does not know: what a request is, or how a result is judged. The order is the plan's:
//! deadline > rate > [ retry: budget > breaker > bulkhead > attempt timeout > attempt ].
//! Invariants: whatever was taken is held by a guard, so dropping the future at any await gives it
//! back; the clock is read where time can have passed, and nowhere else; while a call waits before
//! a retry it holds nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{
    Attempt, BreakerState, CancelCell, Deadline, Event, Failure, Fate, Judge, Neutral, Outcome,
    Phase, RetryDenied,
};
use seawall_policy::Params;
use seawall_policy::breaker::Admit;
use seawall_policy::retry::{self, Decision, Ended};

use crate::gate::{Entry, Waiter};
use crate::permit::{Place, Trial, neutral};
use crate::policy::{Core, Policy};
use crate::race::Race;
use crate::{Answer, CallError, Context, clock};

impl Policy {
    /// Calls the upstream as the policy allows: `make` begins one attempt.
    ///
    /// A failure that the upstream put into words (a status 500) and that is not worth another
    /// attempt is an [`Answer`] with [`Fate::Failed`], as it came.
    ///
    /// # Errors
    ///
    /// Says which strategy refused the call, which time limit passed, or with what the last
    /// attempt failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up: the attempt is dropped, its place in the bulkhead or
    /// in the queue is given back at once, and the breaker learns nothing. The reason is read from
    /// the context's [`CancelCell`]. Whether the upstream has seen the request is not known.
    pub async fn call<T, E, J, M, F>(
        &self,
        context: Context<'_>,
        judge: &J,
        make: M,
    ) -> Result<Answer<T>, CallError<E>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let params = self.0.params.load_full();
        let mut call = Call::enter(&self.0, &params, context);
        let result = call.run(judge, make).await;
        match &result {
            Ok(answer) => call.leave(answer.fate),
            Err(error) => call.leave(error.fate()),
        }
        result
    }
}

/// Holds one call on its way; says that it was abandoned when dropped before its end.
struct Call<'a> {
    core: &'a Arc<Core>,
    params: &'a Params,
    cancel: &'a CancelCell,
    entered: Instant,
    deadline: Deadline,
    /// Whether the deadline is the caller's own rather than the policy's.
    is_callers: bool,
    /// How many attempts were begun.
    attempts: u32,
    /// Where the call stands; `None` at its end.
    phase: Option<Phase>,
    /// The clock when it was last read: the beginning of the phase.
    now: Instant,
}

/// Why a call ends without an answer of the upstream.
type Refusal = CallError<Infallible>;

impl<'a> Call<'a> {
    fn enter(core: &'a Arc<Core>, params: &'a Params, context: Context<'a>) -> Self {
        let now = clock::now();
        core.tell(&Event::CallStarted { upstream: core.upstream });
        let total = Deadline::after(now, params.timeout.total);
        let callers = context.deadline.filter(|own| *own < total);
        Self {
            core,
            params,
            cancel: context.cancel,
            entered: now,
            deadline: callers.unwrap_or(total),
            is_callers: callers.is_some(),
            attempts: 0,
            phase: Some(Phase::Total),
            now,
        }
    }

    async fn run<T, E, J, M, F>(
        &mut self,
        judge: &J,
        mut make: M,
    ) -> Result<Answer<T>, CallError<E>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.start().map_err(Refusal::widen)?;
        loop {
            let (place, trial) = self.admit().await.map_err(Refusal::widen)?;
            let attempt = self.begin();
            let result = Race::new(make(attempt), attempt.deadline.instant()).await;
            let begun = std::mem::replace(&mut self.now, clock::now());
            let outcome = match &result {
                Some(result) => judge.outcome(result.as_ref()),
                None => self.cut_off(begun),
            };
            trial.end(outcome, self.now);
            self.tell_ended(begun, outcome);
            let may_repeat = || judge.may_repeat(result.as_ref().map(Result::as_ref));
            let Some(delay) = self.next(outcome, may_repeat) else {
                return match result {
                    Some(Ok(value)) => Ok(Answer {
                        value,
                        fate: self.fate(outcome),
                        attempts: self.attempts,
                        ticket: place.into_ticket(),
                    }),
                    Some(Err(error)) => Err(CallError::Failed { error, attempts: self.attempts }),
                    None => Err(self.timed_out().widen()),
                };
            };
            // The answer that was not good enough goes first: it may hold a connection.
            drop((result, place));
            self.back_off(delay).await;
        }
    }

    /// Takes what a call takes once, however many attempts it makes.
    fn start(&mut self) -> Result<(), Refusal> {
        if let Some(rate) = &self.params.rate
            && let Err(retry_after) = self.core.rate.take(rate, self.now)
        {
            return Err(self.rejected(CallError::RateLimited { retry_after }));
        }
        if let Some(budget) = &self.params.budget {
            self.core.budget.deposit(budget);
        }
        Ok(())
    }

    /// Takes a place and the breaker's leave for one attempt.
    async fn admit(&mut self) -> Result<(Place, Trial<'a>), Refusal> {
        if self.deadline.has_passed(self.now) {
            let (upstream, phase) = (self.core.upstream, Phase::Total);
            self.core.tell(&Event::TimedOut { upstream, phase });
            return Err(self.timed_out());
        }
        let trial = self.trial()?;
        let (waiter, waiting, wait_max) = match self.core.gate.enter() {
            Entry::Admitted => return Ok((Place::of(self.core), trial)),
            Entry::Waits { waiter, waiting, wait_max } => (waiter, waiting, wait_max),
            Entry::Full => {
                trial.unused(self.now);
                return Err(self.rejected(CallError::QueueFull { attempts: self.attempts }));
            }
        };
        // Whoever waits must not hold a probe that another could make; and the breaker may have
        // opened when the wait is over. So it is asked again then.
        trial.unused(self.now);
        let place = self.wait(waiter, waiting, wait_max).await?;
        Ok((place, self.trial()?))
    }

    /// Asks the breaker.
    fn trial(&self) -> Result<Trial<'a>, Refusal> {
        let Some(params) = &self.params.breaker else {
            return Ok(Trial::free(self.core, self.cancel));
        };
        let lease = self.params.timeout.attempt.saturating_add(LEASE_SLACK);
        match self.core.breaker.admit(params, self.now, lease) {
            Admit::Pass(grant) | Admit::Probe(grant) => {
                self.core.breaker_changed(grant.change());
                Ok(Trial::granted(self.core, self.cancel, params, grant))
            }
            Admit::Refused { retry_after } => {
                let attempts = self.attempts;
                Err(self.rejected(CallError::BreakerOpen { retry_after, attempts }))
            }
        }
    }

    /// Waits in the queue for a place.
    async fn wait(
        &mut self,
        mut waiter: Waiter<'a>,
        waiting: u32,
        wait_max: Duration,
    ) -> Result<Place, Refusal> {
        let (core, since) = (self.core, self.now);
        core.tell(&Event::Queued { upstream: core.upstream, waiting });
        self.phase = Some(Phase::Queue);
        let until = since + wait_max.min(self.deadline.remaining(since) / QUEUE_SHARE);
        let handed = Race::new(&mut waiter, until).await;
        self.now = clock::now();
        // A place that came too late goes to the next: an expired waiter is never dispatched.
        let place = (handed.is_some() && self.now < until).then(|| {
            waiter.keep();
            Place::of(core)
        });
        let (waited, admitted) = (self.now - since, place.is_some());
        core.tell(&Event::Dequeued { upstream: core.upstream, waited, admitted });
        self.phase = Some(Phase::Total);
        place.ok_or_else(|| {
            self.rejected(CallError::QueueTimeout { waited, attempts: self.attempts })
        })
    }

    /// Begins an attempt.
    fn begin(&mut self) -> Attempt {
        self.attempts += 1;
        self.phase = Some(Phase::Attempt);
        let (upstream, number) = (self.core.upstream, self.attempts);
        self.core.tell(&Event::AttemptStarted { upstream, number });
        let timeout = &self.params.timeout;
        Attempt {
            number,
            deadline: Deadline::after(self.now, timeout.attempt).earlier(self.deadline),
            call_deadline: self.deadline,
            connect: timeout.connect,
            idle: timeout.idle,
        }
    }

    /// Says what an attempt that ran out of time says about the upstream.
    fn cut_off(&self, begun: Instant) -> Outcome {
        let phase = if self.deadline.has_passed(self.now) { Phase::Total } else { Phase::Attempt };
        self.core.tell(&Event::TimedOut { upstream: self.core.upstream, phase });
        let had_its_time = self.now - begun >= self.params.timeout.attempt;
        if self.is_callers && !had_its_time {
            Outcome::Neutral(Neutral::CallerDeadline)
        } else {
            Outcome::Failure(Failure::TimedOut)
        }
    }

    fn tell_ended(&mut self, begun: Instant, outcome: Outcome) {
        self.phase = Some(Phase::Total);
        let (upstream, number, took) = (self.core.upstream, self.attempts, self.now - begun);
        self.core.tell(&Event::AttemptEnded { upstream, number, outcome, took });
    }

    /// Decides whether another attempt is made, and how long to wait before it.
    fn next(
        &self,
        outcome: Outcome,
        may_repeat: impl FnOnce() -> Result<(), RetryDenied>,
    ) -> Option<Duration> {
        if !outcome.is_against_upstream() {
            return None;
        }
        let (core, params) = (self.core, self.params.retry.as_ref()?);
        let upstream = core.upstream;
        let ended = Ended {
            number: self.attempts,
            outcome,
            may_repeat: if self.breaker_is_open() {
                Err(RetryDenied::Breaker)
            } else {
                may_repeat()
            },
            deadline: self.deadline,
        };
        let budget = self.params.budget.as_ref().map(|params| (&core.budget, params));
        match retry::decide(params, budget, &ended, self.now, &mut core.dice.fork()) {
            Decision::After { delay, reason } => {
                let number = self.attempts + 1;
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

    /// Says whether the breaker would refuse another attempt; this one may have opened it.
    fn breaker_is_open(&self) -> bool {
        self.params.breaker.is_some() && self.core.breaker.state(self.now) == BreakerState::Open
    }

    /// Waits before the next attempt, holding nothing.
    async fn back_off(&mut self, delay: Duration) {
        self.phase = Some(Phase::Backoff);
        tokio::time::sleep_until((self.now + delay).into()).await;
        self.now = clock::now();
        self.phase = Some(Phase::Total);
    }

    /// Returns the fate of a call that the upstream answered.
    fn fate(&self, outcome: Outcome) -> Fate {
        match outcome {
            Outcome::Failure(_) | Outcome::Overload { .. } => Fate::Failed,
            Outcome::Success | Outcome::Neutral(_) if self.attempts == 1 => Fate::Ok,
            Outcome::Success | Outcome::Neutral(_) => Fate::OkAfterRetry,
        }
    }

    fn timed_out(&self) -> Refusal {
        let phase = if self.deadline.has_passed(self.now) { Phase::Total } else { Phase::Attempt };
        CallError::TimedOut { phase, attempts: self.attempts }
    }

    fn rejected(&self, refusal: Refusal) -> Refusal {
        let (upstream, fate) = (self.core.upstream, refusal.fate());
        self.core.tell(&Event::Rejected { upstream, fate });
        refusal
    }

    /// Ends the call.
    fn leave(&mut self, fate: Fate) {
        self.phase = None;
        let (upstream, attempts, took) =
            (self.core.upstream, self.attempts, self.now - self.entered);
        self.core.tell(&Event::CallEnded { upstream, fate, attempts, took });
    }
}

impl Drop for Call<'_> {
    /// Tells that a call was given up, if it was.
    fn drop(&mut self) {
        let Some(phase) = self.phase else { return };
        let (upstream, reason) = (self.core.upstream, self.cancel.reason());
        let begun = std::mem::replace(&mut self.now, clock::now());
        match phase {
            Phase::Queue => {
                let waited = self.now - begun;
                self.core.tell(&Event::Dequeued { upstream, waited, admitted: false });
            }
            Phase::Attempt => self.tell_ended(begun, Outcome::Neutral(neutral(reason))),
            _ => {}
        }
        self.core.tell(&Event::Abandoned { upstream, phase, reason });
        self.leave(Fate::Cancelled);
    }
}

/// No call waits in the queue for more than this part of the time it has left.
const QUEUE_SHARE: u32 = 5;

/// How much longer than its time limit a probe may take to report; only a task that is stuck or
/// leaked takes longer, and the breaker must not wait for it.
const LEASE_SLACK: Duration = Duration::from_secs(1);
