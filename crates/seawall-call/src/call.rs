//! The call: the one future that carries a plan out.
//!
//! Does not know: what a request is, or how a result is judged. The order is the plan's:
//! deadline > shed > rate > [ retry and hedge: budget > endpoint > breaker > bulkhead > attempt
//! timeout > chaos > attempt ]. Invariants: whatever was taken is noted in a guard, so dropping the
//! future at any await gives it back; the clock is read where time can have passed, and nowhere
//! else; while a call waits before a retry it holds no place.

use std::pin::pin;
use std::sync::Arc;

use seawall_core::{Attempt, Judge, Plain};
use seawall_policy::Params;
use seawall_policy::chaos::Injected;

use crate::hedge::hedged;
use crate::journey::Journey;
use crate::policy::Policy;
use crate::race::Race;
use crate::work::Work;
use crate::{Answer, CallError, Context};

impl Policy {
    /// Calls the upstream as the policy allows: `make` begins one attempt.
    ///
    /// A failure that the upstream put into words (a status 500) and that is not worth another
    /// attempt is an [`Answer`] with [`Fate::Failed`](seawall_core::Fate::Failed), as it came.
    ///
    /// # Errors
    ///
    /// Says which strategy refused the call, which time limit passed, or with what the last
    /// attempt failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up: its attempts are dropped, their places in the
    /// bulkhead or in the queue are given back at once (or, with `limit.holds_abandoned`, when the
    /// attempt would have run out of time), and the breaker learns nothing. The reason is read
    /// from the context's [`CancelCell`](seawall_core::CancelCell). Whether the upstream has seen
    /// the request is not known.
    pub fn call<T, E, J, M, F>(
        &self,
        context: Context<'_>,
        judge: &J,
        make: M,
    ) -> impl Future<Output = Result<Answer<T>, CallError<E>>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.carry_out(None, context, judge, make)
    }

    /// Calls the upstream as other numbers than the policy's own allow: an override for one call,
    /// without an allocation as long as the breaker's window is the policy's.
    ///
    /// What holds for [`derive`](Self::derive) holds here too: the state is shared, and the places
    /// and their queue stay those of the policy.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// That of [`call`](Self::call).
    pub fn call_as<T, E, J, M, F>(
        &self,
        params: &Params,
        context: Context<'_>,
        judge: &J,
        make: M,
    ) -> impl Future<Output = Result<Answer<T>, CallError<E>>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.carry_out(Some(params), context, judge, make)
    }

    /// Calls the upstream with nothing more to say: `Ok` is a success, `Err` a failure that may be
    /// repeated, as often as the policy allows.
    ///
    /// For work that must not be done twice say so with [`judge_by`](crate::judge_by).
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// That of [`call`](Self::call).
    pub fn run<T, E, M, F>(&self, make: M) -> impl Future<Output = Result<Answer<T>, CallError<E>>>
    where
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.carry_out(None, Context::default(), &Plain, make)
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn would hold every argument twice")]
    fn carry_out<T, E, J, M, F>(
        &self,
        other: Option<&Params>,
        context: Context<'_>,
        judge: &J,
        mut make: M,
    ) -> impl Future<Output = Result<Answer<T>, CallError<E>>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        async move {
            // Everything but the attempt itself is in `Journey`, which is not generic.
            let mut own: Arc<Params>;
            let params = match other {
                Some(other) => match self.core.fitted(other) {
                    None => other,
                    Some(fitted) => {
                        own = fitted;
                        &own
                    }
                },
                None => {
                    own = self.params();
                    if !self.is_first()
                        && let Some(fitted) = self.core.fitted(&own)
                    {
                        self.refit(&own, &fitted);
                        own = fitted;
                    }
                    &own
                }
            };
            let mut journey = Journey::begin(&self.core, params, context);
            journey.enter().map_err(CallError::widen)?;
            loop {
                let mut hold = journey.hold();
                if let Some(waiter) = journey.admit(&mut hold).map_err(CallError::widen)? {
                    // Boxed: few calls ever wait, and all would carry the room for it.
                    let wait = Box::pin(journey.wait(waiter, &mut hold));
                    wait.await.map_err(CallError::widen)?;
                }
                let attempt = journey.begin_attempt(&mut hold, false);
                let (result, outcome, is_hedge) = {
                    let mut work = pin!(work(&journey, judge, &mut make, attempt));
                    let hedge_at = journey.hedge_at(|| judge.may_hedge());
                    let until = attempt.deadline.instant();
                    let until = hedge_at.map_or(until, |at| at.min(until));
                    let result = Race::new(work.as_mut(), until).await;
                    journey.read_clock();
                    // What is in this future is in every call's: after the race nothing is known but
                    // what the hold knows.
                    if result.is_none() && !hold.is_out_of_time(journey.now) {
                        // Boxed: only a call whose first attempt is slow comes here.
                        let first = (work, hold.take());
                        let ended = Box::pin(hedged(&mut journey, judge, &mut make, first)).await;
                        hold = ended.hold;
                        (ended.result, ended.outcome, ended.is_hedge)
                    } else {
                        let outcome = result.as_ref().map(|result| judge.outcome(result.as_ref()));
                        let outcome = hold.end(outcome, journey.now);
                        (result, outcome, false)
                    }
                };
                journey.attempts_over();
                let may_repeat = || judge.may_repeat(result.as_ref().map(Result::as_ref));
                if let Some(delay) = journey.next(outcome, may_repeat) {
                    // The answer goes first, and then its place: it may hold a connection.
                    drop(result);
                    drop(hold);
                    journey.back_off(delay).await;
                    continue;
                }
                return match result {
                    Some(Ok(value)) => Ok(journey.answer(value, outcome, &mut hold, is_hedge)),
                    Some(Err(error)) => Err(journey.fail(error, outcome)),
                    None => Err(journey.time_out().widen()),
                };
            }
        }
    }
}

/// Begins an attempt, or what chaos makes of it.
#[inline]
pub(crate) fn work<T, E, J, M, F>(
    journey: &Journey<'_>,
    judge: &J,
    make: &mut M,
    attempt: Attempt,
) -> Work<F>
where
    J: Judge<T, E>,
    M: FnMut(Attempt) -> F,
    F: Future<Output = Result<T, E>>,
{
    match journey.inject() {
        None => Work::Made { work: make(attempt) },
        Some(Injected::Latency(by)) => {
            let until = journey.now.checked_add(by).unwrap_or(attempt.call_deadline.instant());
            let delay = Some(Box::pin(tokio::time::sleep_until(until.into())));
            Work::Late { delay, work: make(attempt) }
        }
        Some(Injected::Fault(seawall_core::Chaos::Hang)) => Work::Hung,
        Some(Injected::Fault(what)) => match judge.injected(what) {
            Some(result) => Work::Injected { result: Some(result) },
            // There is no such result for this kind of work.
            None => Work::Made { work: make(attempt) },
        },
    }
}
