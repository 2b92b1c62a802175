//! The call: the one future that carries a plan out.
//!
//! Does not know: what a request is, or how a result is judged. The order is the plan's:
//! deadline > rate > [ retry: budget > breaker > bulkhead > attempt timeout > attempt ].
//! Invariants: whatever was taken is noted in one guard, so dropping the future at any await gives
//! it back; the clock is read where time can have passed, and nowhere else; while a call waits
//! before a retry it holds nothing.

use seawall_core::{Attempt, Judge};

use crate::journey::Journey;
use crate::policy::Policy;
use crate::race::Race;
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
    /// Dropping the future gives the call up: the attempt is dropped, its place in the bulkhead or
    /// in the queue is given back at once, and the breaker learns nothing. The reason is read from
    /// the context's [`CancelCell`](seawall_core::CancelCell). Whether the upstream has seen the
    /// request is not known.
    pub async fn call<T, E, J, M, F>(
        &self,
        context: Context<'_>,
        judge: &J,
        mut make: M,
    ) -> Result<Answer<T>, CallError<E>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        // Everything but the attempt itself is in `Journey`, which is not generic.
        let params = self.0.params.load_full();
        let mut journey = Journey::begin(&self.0, &params, context);
        journey.enter().map_err(CallError::widen)?;
        loop {
            if let Some(waiter) = journey.admit().map_err(CallError::widen)? {
                // Boxed: few calls ever wait, and all would carry the room for it.
                Box::pin(journey.wait(waiter)).await.map_err(CallError::widen)?;
            }
            let attempt = journey.begin_attempt();
            let result = Race::new(make(attempt), attempt.deadline.instant()).await;
            journey.read_clock();
            let outcome = result.as_ref().map(|result| judge.outcome(result.as_ref()));
            let outcome = journey.end_attempt(outcome);
            let may_repeat = || judge.may_repeat(result.as_ref().map(Result::as_ref));
            if let Some(delay) = journey.next(outcome, may_repeat) {
                // The answer goes first, and then its place: it may hold a connection.
                drop(result);
                journey.leave_place();
                journey.back_off(delay).await;
                continue;
            }
            return match result {
                Some(Ok(value)) => Ok(journey.answer(value, outcome)),
                Some(Err(error)) => Err(journey.fail(error)),
                None => Err(journey.time_out().widen()),
            };
        }
    }
}
