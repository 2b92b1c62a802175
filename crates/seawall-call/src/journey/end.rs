//! How a call ends: with an answer, with an error, or because it is given up.
//!
//! Does not know: the result's type. Invariants: the end is told exactly once; when a retry is
//! refused, the last failure stands, with what stood against repeating it; a call that is dropped is
//! told as abandoned, unless code of its user's panicked, which is a failure.

use seawall_core::{
    CallEventKind as Kind, CancelReason, EndpointId, Fate, Neutral, Outcome, Phase, RetryDenied,
    ShedReason,
};

use super::{Journey, Refusal};
use crate::{Answer, CallError};

/// Holds what the last attempt came to, while the call waits for another one.
///
/// Its place has been given back; but an answer of HTTP may hold a connection, so it is dropped
/// before the next attempt begins.
pub(crate) struct Last<R> {
    /// `None` for an attempt that was cut off by its time limit.
    pub(crate) result: Option<R>,
    pub(crate) outcome: Outcome,
    pub(crate) endpoint: EndpointId,
    pub(crate) is_hedge: bool,
}

impl Journey<'_> {
    /// Ends the call with the upstream's word, good or bad.
    #[inline]
    pub(crate) fn answer<T>(
        &mut self,
        value: T,
        outcome: Outcome,
        endpoint: EndpointId,
        is_hedge: bool,
    ) -> Answer<T> {
        let fate = if outcome.is_against_upstream() {
            Fate::Failed
        } else if is_hedge {
            Fate::OkHedged
        } else if self.tries == 1 {
            Fate::Ok
        } else {
            Fate::OkAfterRetry
        };
        self.end(fate);
        Answer { value, fate, attempts: self.attempts, denied: self.denied, endpoint }
    }

    /// Ends the call with what the last attempt came to, since there is no other.
    #[cold]
    pub(crate) fn stand<T, E>(
        &mut self,
        last: Last<Result<T, E>>,
    ) -> Result<Answer<T>, CallError<E>> {
        let Last { result, outcome, endpoint, is_hedge } = last;
        match result {
            Some(Ok(value)) => Ok(self.answer(value, outcome, endpoint, is_hedge)),
            Some(Err(error)) => Err(self.fail(error, outcome)),
            None => Err(self.time_out().widen()),
        }
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
        let error = self.timed_out();
        self.end(error.fate());
        error
    }

    fn timed_out(&self) -> Refusal {
        let is_total = self.deadline.has_passed(self.now);
        let phase = if is_total { Phase::Total } else { Phase::Attempt };
        let (attempts, denied) = (self.attempts, self.denied);
        let endpoint = (attempts > 0).then_some(self.last);
        CallError::TimedOut { phase, attempts, denied, endpoint }
    }

    /// Says that there is no time for an attempt; the first one's call ends with it.
    #[cold]
    pub(super) fn too_late(&mut self) -> Refusal {
        if self.attempts > 0 {
            self.deny(RetryDenied::Deadline);
            return self.timed_out();
        }
        self.tell(Kind::TimedOut { phase: Phase::Total });
        self.time_out()
    }

    #[cold]
    pub(super) fn shed(&mut self, why: ShedReason) -> Refusal {
        let priority = self.frame.context.priority;
        if self.attempts == 0 {
            self.tell(Kind::Shed { priority, why });
        }
        self.reject(CallError::Shed { priority, why })
    }

    /// Says that a strategy refused an attempt; the first one's call ends with it.
    #[cold]
    pub(super) fn reject(&mut self, error: Refusal) -> Refusal {
        if self.attempts > 0 {
            // The last failure stands: the call ends with that.
            self.deny(match &error {
                CallError::BreakerOpen { .. } => RetryDenied::Breaker,
                CallError::Shed { .. } => RetryDenied::Shed,
                _ => RetryDenied::Bulkhead,
            });
            return error;
        }
        let fate = error.fate();
        self.tell(Kind::Rejected { fate });
        self.end(fate);
        error
    }

    /// Takes note of what stood against another attempt.
    pub(super) fn deny(&mut self, why: RetryDenied) {
        self.denied = Some(why);
        self.tell(Kind::RetryDenied { why });
    }

    /// Tells what happened to the call as a whole.
    #[inline]
    fn tell(&self, kind: Kind<'_>) {
        self.frame.tell(self.now, None, kind);
    }

    #[inline]
    fn end(&mut self, fate: Fate) {
        self.phase = None;
        // Asked first: subtracting instants costs more than a look whether anybody listens.
        if self.frame.core.observers.listens() {
            self.tell_end(fate);
        }
    }

    // Apart, so that the ends of a call are small enough to be inlined.
    #[inline(never)]
    fn tell_end(&self, fate: Fate) {
        let (attempts, took) = (self.attempts, self.now - self.begun);
        self.tell(Kind::Ended { fate, attempts, took });
    }

    /// Ends a call that was given up, or whose user's code panicked.
    #[cold]
    fn abandon(&mut self, phase: Phase) {
        self.read_clock();
        if self.frame.is_panic() {
            return self.end(Fate::Failed);
        }
        let reason = self.frame.context.cancel.reason();
        if reason == CancelReason::ClientGone && self.frame.params.adaptive.is_some() {
            self.frame.core.gate.left(self.now - self.begun, self.now);
        }
        self.tell(Kind::Abandoned { phase, reason });
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
