//! The call: the one future that carries a plan out.
//!
//! Does not know: what a request is, or how a result is judged. The order is the plan's:
//! deadline > shed > rate > [ retry and hedge: budget > endpoint > breaker > bulkhead > attempt
//! timeout > chaos > attempt ]. Invariants: whatever was taken is noted in a guard, so dropping the
//! future at any await gives it back; the clock is read where time can have passed, and nowhere
//! else; while a call waits before a retry it holds no place.

use std::pin::pin;
use std::sync::Arc;

use seawall_core::{Attempt, Judge, Plain, Retrying};
use seawall_policy::Params;

use crate::frame::Frame;
use crate::hedging::hedged;
use crate::journey::{Journey, Last, Repeat};
use crate::policy::Policy;
use crate::race::Race;
use crate::work::work;
use crate::{Answer, CallError, Context, Permit, Unsound};

impl Policy {
    /// Calls the upstream with nothing more to say: `Ok` is a success, `Err` a failure that may be
    /// repeated, as often as the policy allows.
    ///
    /// The closure is run once for each attempt, and several attempts may be under way at once, so
    /// it may not lend what it owns. Borrow from outside, or clone inside:
    ///
    /// ```
    /// # use seawall_call::{CallError, Policy};
    /// # async fn fetch(city: &str) -> std::io::Result<String> { Ok(city.to_owned()) }
    /// # async fn example(policy: Policy) -> Result<(), CallError<std::io::Error>> {
    /// let city = String::from("oslo");
    /// // Borrowed: no `move`.
    /// policy.run(async |_attempt| fetch(&city).await).await?;
    ///
    /// // Owned, for `tokio::spawn` and the like: a clone for each attempt.
    /// let owned = move |_attempt| {
    ///     let city = city.clone();
    ///     async move { fetch(&city).await }
    /// };
    /// policy.run(owned).await?;
    ///
    /// // Changed: before the attempt's future, not in it.
    /// let mut attempts = 0;
    /// policy.run(|_attempt| {
    ///     attempts += 1;
    ///     async { fetch("bergen").await }
    /// }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What is refused is an `async move` closure that lends its own captures to its future:
    ///
    /// ```compile_fail
    /// # use seawall_call::{CallError, Policy};
    /// # async fn fetch(city: &str) -> std::io::Result<String> { Ok(city.to_owned()) }
    /// # async fn example(policy: Policy) -> Result<(), CallError<std::io::Error>> {
    /// let city = String::from("oslo");
    /// policy.run(async move |_attempt| fetch(&city).await).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The answer holds nothing: the place in the bulkhead has been given back when this returns,
    /// so any number of calls can be collected. For a body that is still to be read see
    /// [`call`](Self::call). For work that must not be done twice say so with
    /// [`judge_by`](crate::judge_by).
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
        let numbers = Numbers::Own;
        self.carry_out(numbers, Context::default(), &Plain, make, WithoutPlace)
    }

    /// Calls the upstream as the policy allows: `make` begins one attempt. The permit is the
    /// attempt's place in the bulkhead: keep it until the answer's body has ended, or drop it.
    ///
    /// A failure that the upstream put into words (a status 500) and that is not worth another
    /// attempt is an [`Answer`] with [`Fate::Failed`](seawall_core::Fate::Failed), as it came. So
    /// is one whose repetition was refused here: the queue was full, or the breaker opened during
    /// the backoff; [`Answer::denied`] says what stood against it. For that the answer is kept
    /// during the backoff, with what it holds (of HTTP, a connection), though not with its place;
    /// it is dropped when the next attempt begins. The budget bounds how many there are.
    ///
    /// # Errors
    ///
    /// Says which strategy refused the call, which time limit passed, or with what the last
    /// attempt failed. A call that was refused was never sent.
    ///
    /// # Panics
    ///
    /// Passes on a panic of `make`, of the attempt or of the judge, which counts as a failure of
    /// the attempt ([`Failure::Panicked`](seawall_core::Failure::Panicked)).
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
    ) -> impl Future<Output = Result<(Answer<T>, Permit), CallError<E>>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.carry_out(Numbers::Own, context, judge, make, |answer, permit| (answer, permit))
    }

    /// Calls the upstream as other numbers than the policy's own allow: an override for one call,
    /// without an allocation as long as the breaker's window is the policy's.
    ///
    /// What holds for [`derive`](Self::derive) holds here too: the state is shared, and the places
    /// and their queue stay those of the policy.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call), and [`CallError::Unsound`] for numbers that cannot work; they
    /// are checked at each call.
    ///
    /// # Panics
    ///
    /// As [`call`](Self::call).
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
    ) -> impl Future<Output = Result<(Answer<T>, Permit), CallError<E>>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let numbers = Numbers::Unchecked(params);
        self.carry_out(numbers, context, judge, make, |answer, permit| (answer, permit))
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn would hold every argument twice")]
    pub(crate) fn carry_out<T, E, J, M, F, W>(
        &self,
        numbers: Numbers<'_>,
        mut context: Context<'_>,
        judge: &J,
        mut make: M,
        finish: W,
    ) -> impl Future<Output = Result<W::Output, CallError<E>>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
        W: Finish<T>,
    {
        async move {
            // Everything but the attempt itself is in `Journey`, which is not generic.
            let mut own: Arc<Params>;
            let params = match numbers.given().map_err(CallError::Unsound)? {
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
            context.enter();
            let frame = Frame::new(&self.core, params, &context, W::KEEPS_PLACE);
            let mut journey = Journey::begin(&frame);
            journey.enter().map_err(CallError::widen)?;
            // Boxed: few calls are repeated, and all would carry the room for it.
            let mut last: Option<Box<Last<Result<T, E>>>> = None;
            loop {
                let mut guard = journey.guard();
                let admitted = match journey.admit(&mut guard) {
                    Ok(None) => Ok(()),
                    // Boxed, for the same reason.
                    Ok(Some(waiter)) => Box::pin(journey.wait(waiter, &mut guard)).await,
                    Err(refusal) => Err(refusal),
                };
                if let Err(refusal) = admitted {
                    let Some(last) = last else { return Err(refusal.widen()) };
                    let endpoint = last.endpoint;
                    drop(guard);
                    let permit = || Permit::of(&frame, endpoint, false, false);
                    return journey.stand(*last).map(|answer| finish.finish(answer, permit));
                }
                drop(last.take());
                let attempt = journey.begin_attempt(&mut guard, false);
                let (result, outcome, is_hedge) = {
                    let mut work = pin!(work(&journey, judge, &mut make, attempt));
                    let hedge_at = journey.hedge_at(|| judge.may_hedge());
                    let until = attempt.deadline.instant();
                    let until = hedge_at.map_or(until, |at| at.min(until));
                    let result = Race::new(work.as_mut(), until, &frame).await;
                    journey.read_clock();
                    // What is in this future is in every call's: after the race nothing is known but
                    // what the guard knows.
                    if result.is_none() && !guard.is_out_of_time(journey.now) {
                        // Boxed: only a call whose first attempt is slow comes here.
                        let first = (work, guard.take());
                        let ended = Box::pin(hedged(&mut journey, judge, &mut make, first)).await;
                        guard = ended.guard;
                        (ended.result, ended.outcome, ended.is_hedge)
                    } else {
                        let outcome = result.as_ref().map(|result| judge.outcome(result.as_ref()));
                        let outcome = guard.end(outcome, journey.now);
                        (result, outcome, false)
                    }
                };
                journey.attempts_over();
                let number = journey.attempts();
                let repeat = || {
                    let result = || result.as_ref().map(Result::as_ref);
                    let may_repeat = judge.may_repeat(result());
                    Repeat { may_repeat, delay: judge.delay(result(), number) }
                };
                if let Some(delay) = journey.next(outcome, repeat) {
                    let result_of = result.as_ref().map(Result::as_ref);
                    judge.on_retry(Retrying::new(result_of, number + 1, delay));
                    let endpoint = guard.endpoint;
                    drop(guard);
                    last = Some(Box::new(Last { result, outcome, endpoint, is_hedge }));
                    journey.back_off(delay).await;
                    continue;
                }
                return match result {
                    Some(Ok(value)) => {
                        let answer = journey.answer(value, outcome, guard.endpoint, is_hedge);
                        Ok(finish.finish(answer, || guard.permit()))
                    }
                    Some(Err(error)) => Err(journey.fail(error, outcome)),
                    None => Err(journey.time_out().widen()),
                };
            }
        }
    }
}

/// What becomes of an answer and its place.
pub(crate) trait Finish<T> {
    type Output;

    /// Whether the place is kept beyond the attempt's end.
    const KEEPS_PLACE: bool;

    fn finish(self, answer: Answer<T>, permit: impl FnOnce() -> Permit) -> Self::Output;
}

/// Gives the place back when the attempt has ended.
pub(crate) struct WithoutPlace;

impl<T> Finish<T> for WithoutPlace {
    type Output = Answer<T>;
    const KEEPS_PLACE: bool = false;

    #[inline]
    fn finish(self, answer: Answer<T>, _permit: impl FnOnce() -> Permit) -> Answer<T> {
        answer
    }
}

impl<T, R, F: FnOnce(Answer<T>, Permit) -> R> Finish<T> for F {
    type Output = R;
    const KEEPS_PLACE: bool = true;

    #[inline]
    fn finish(self, answer: Answer<T>, permit: impl FnOnce() -> Permit) -> R {
        self(answer, permit())
    }
}

/// Says which numbers a call goes by.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    /// The policy's.
    Own,
    /// Others, that have been checked.
    Sound(&'a Params),
    /// Others.
    Unchecked(&'a Params),
}

impl<'a> Numbers<'a> {
    #[inline]
    fn given(self) -> Result<Option<&'a Params>, Unsound> {
        match self {
            Self::Own => Ok(None),
            Self::Sound(params) => Ok(Some(params)),
            Self::Unchecked(params) => Unsound::check(params).map(|()| Some(params)),
        }
    }
}
