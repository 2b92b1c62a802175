//! Several attempts of one call at once: the first good answer wins.
//!
//! Does not know: when the first attempt began to be slow. Invariants: the losers are dropped the
//! moment a winner answers, before it is handed on; a failure counts only when no other attempt is
//! under way any more. It is made only for calls whose hedged attempt is due, so it may allocate.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use seawall_core::{Attempt, CallEventKind, Judge, Outcome};

use crate::guard::AttemptGuard;
use crate::journey::Journey;
use crate::race::Race;
use crate::work::{Work, work};

/// Is what the attempts came to.
pub(crate) struct Ended<'a, R> {
    /// What the last or best attempt answered; `None` if it was cut off by its time limit.
    pub(crate) result: Option<R>,
    pub(crate) outcome: Outcome,
    pub(crate) guard: AttemptGuard<'a>,
    pub(crate) is_hedge: bool,
}

/// Holds one attempt that is under way.
struct Slot<'a, 'w, F: Future> {
    // Before the guard: the attempt is dropped first, and then gives back what it held.
    body: Body<'w, F>,
    guard: AttemptGuard<'a>,
    is_hedge: bool,
}

enum Body<'w, F: Future> {
    First(Pin<&'w mut Work<F>>),
    Extra(Pin<Box<Work<F>>>),
}

impl<F: Future> Body<'_, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self {
            Self::First(work) => work.as_mut().poll(cx),
            Self::Extra(work) => work.as_mut().poll(cx),
        }
    }
}

/// Runs the first attempt on, sends others beside it when they are due, and ends with the first
/// that is answered well, or the last that fails.
///
/// # Cancel safety
///
/// Dropping it drops every attempt; each gives back what it holds.
pub(crate) async fn hedged<'a, T, E, J, M, F>(
    journey: &mut Journey<'a>,
    judge: &J,
    make: &mut M,
    first: (Pin<&mut Work<F>>, AttemptGuard<'a>),
) -> Ended<'a, Result<T, E>>
where
    J: Judge<T, E>,
    M: FnMut(Attempt) -> F,
    F: Future<Output = Result<T, E>>,
{
    let (body, mut guard) = first;
    guard.set_runs(false);
    let mut slots = vec![Slot { body: Body::First(body), guard, is_hedge: false }];
    let extra_max = journey.frame.params.hedge.as_ref().map_or(0, |params| params.extra_max);
    let (mut due, mut sent) = (Some(journey.now), 0);
    loop {
        if due.is_some_and(|due| due <= journey.now) {
            due = None;
            if let Some(mut guard) = journey.admit_hedge() {
                let attempt = journey.begin_attempt(&mut guard, true);
                let body = Body::Extra(Box::pin(work(journey, judge, make, attempt)));
                guard.set_runs(false);
                slots.push(Slot { body, guard, is_hedge: true });
                sent += 1;
                due = if sent < extra_max { journey.hedge_at(|| true) } else { None };
                continue;
            }
        }
        let ends = slots.iter().filter_map(|slot| slot.guard.deadline());
        // There is always one under way: the loop ends with the last.
        let until = ends.chain(due).min().unwrap_or(journey.now);
        let ready = Race::new(
            poll_fn(|cx| {
                let polled = slots.iter_mut().enumerate().find_map(|(place, slot)| {
                    slot.guard.set_runs(true);
                    let polled = slot.body.poll(cx);
                    slot.guard.set_runs(false);
                    match polled {
                        Poll::Ready(result) => Some((place, result)),
                        Poll::Pending => None,
                    }
                });
                polled.map_or(Poll::Pending, Poll::Ready)
            }),
            until,
            journey.frame,
        )
        .await;
        journey.read_clock();
        let now = journey.now;
        let (place, result) = match ready {
            Some((place, result)) => (place, Some(result)),
            None => match slots.iter().position(|slot| slot.guard.is_out_of_time(now)) {
                Some(place) => (place, None),
                None => continue,
            },
        };
        let Slot { body, mut guard, is_hedge, .. } = slots.remove(place);
        guard.set_runs(true);
        drop(body);
        let outcome = result.as_ref().map(|result| judge.outcome(result.as_ref()));
        let outcome = guard.end(outcome, now);
        let is_good = result.is_some() && !outcome.is_against_upstream();
        if !is_good && !slots.is_empty() {
            continue;
        }
        for Slot { body, guard, .. } in slots {
            drop(body);
            guard.lose(now);
        }
        if sent > 0 {
            let won = is_hedge && is_good;
            journey.frame.tell(now, None, CallEventKind::HedgeEnded { won });
        }
        return Ended { result, outcome, guard, is_hedge };
    }
}
