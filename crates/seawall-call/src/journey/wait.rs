//! Waiting in the queue for a place.
//!
//! Does not know: who is next. Invariant: nobody is dispatched whose time in the queue is over, and
//! that a call has left the queue is told exactly once.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use seawall_core::{AttemptId, CallEventKind as Kind, Phase, ShedReason};

use super::{Journey, Refusal};
use crate::frame::Frame;
use crate::gate::{Waiter, Word};
use crate::guard::AttemptGuard;
use crate::race::Race;
use crate::{CallError, clock};

impl<'a> Journey<'a> {
    /// Waits in the queue for a place, and then asks the breaker again: it may have opened.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the queue.
    pub(crate) async fn wait(
        &mut self,
        mut waiter: Waiter<'a>,
        guard: &mut AttemptGuard<'a>,
    ) -> Result<(), Refusal> {
        let (core, attempt) = (self.frame.core, self.to_come(false));
        self.frame.tell(self.now, Some(attempt), Kind::Queued { waiting: waiter.waiting });
        self.turn(Phase::Queue);
        let queued = Queued { frame: self.frame, attempt, since: self.now, is_over: false };
        let until = self.now.checked_add(waiter.wait_max).unwrap_or(self.deadline.instant());
        let word = loop {
            // A place that is held for nobody comes back by itself; somebody has to look. The
            // news is asked for first, or a place that comes between would be overlooked.
            let mut news = pin!(core.gate.next_ghost());
            // So does one whose caller does not take its answer.
            let (expiry, look) = (core.gate.next_expiry(), core.gate.next_look(self.now));
            let next = expiry.into_iter().chain(look).min().filter(|next| *next < until);
            let word = poll_fn(|cx| match Pin::new(&mut waiter).poll(cx) {
                Poll::Ready(word) => Poll::Ready(Some(word)),
                Poll::Pending => news.as_mut().poll(cx).map(|()| None),
            });
            let word = Race::new(word, next.unwrap_or(until), self.frame).await.flatten();
            self.read_clock();
            if word.is_some() || self.now >= until {
                break word;
            }
            core.gate.expire(self.now);
            core.gate.make_room(self.frame.client, self.now);
        };
        self.turn(Phase::Total);
        // A place that came too late goes to the next: an expired waiter is never dispatched.
        let admitted = word == Some(Word::Place) && self.now < until;
        let waited = queued.end(admitted, self.now);
        if !admitted {
            drop(waiter);
            if word == Some(Word::Displaced) {
                return Err(self.shed(ShedReason::Displaced));
            }
            return Err(self.reject(CallError::QueueTimeout { waited }));
        }
        waiter.keep();
        guard.take_place();
        self.ask(guard)
    }
}

/// Tells that a call has left the queue, at the latest when it is dropped.
struct Queued<'a> {
    frame: &'a Frame<'a>,
    attempt: AttemptId,
    since: Instant,
    is_over: bool,
}

impl Queued<'_> {
    fn end(mut self, admitted: bool, now: Instant) -> Duration {
        self.tell(admitted, now)
    }

    fn tell(&mut self, admitted: bool, now: Instant) -> Duration {
        self.is_over = true;
        let waited = now - self.since;
        self.frame.tell(now, Some(self.attempt), Kind::Dequeued { waited, admitted });
        waited
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(false, clock::now());
        }
    }
}
