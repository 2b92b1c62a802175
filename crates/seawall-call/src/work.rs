//! One attempt's work, or what chaos makes of it.
//!
//! Does not know: what the work is. Without chaos it is the work and nothing else.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Attempt, Judge};
use seawall_policy::chaos;
use tokio::time::Sleep;

use crate::journey::Journey;

pin_project! {
    /// Gives what one attempt comes to.
    #[project = Projection]
    pub(crate) enum Work<F: Future> {
        Made { #[pin] work: F },
        /// Begins when the delay is over: a future does nothing before it is polled.
        Late { delay: Option<Pin<Box<Sleep>>>, #[pin] work: F },
        Injected { result: Option<F::Output> },
        Hung,
    }
}

impl<F: Future> Future for Work<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            Projection::Made { work } => work.poll(cx),
            Projection::Late { delay, work } => {
                if let Some(sleep) = delay {
                    ready!(sleep.as_mut().poll(cx));
                    *delay = None;
                }
                work.poll(cx)
            }
            // Polled after its end, like any future it says nothing.
            Projection::Injected { result } => match result.take() {
                Some(result) => Poll::Ready(result),
                None => Poll::Pending,
            },
            Projection::Hung => Poll::Pending,
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
    // Small, so that it is inlined: no more than a look at a flag, but where there is chaos.
    match journey.inject(&attempt) {
        None => Work::Made { work: make(attempt) },
        Some(injected) => injected_work(journey, judge, make, attempt, injected),
    }
}

#[cold]
fn injected_work<T, E, J, M, F>(
    journey: &Journey<'_>,
    judge: &J,
    make: &mut M,
    attempt: Attempt,
    injected: chaos::Injected,
) -> Work<F>
where
    J: Judge<T, E>,
    M: FnMut(Attempt) -> F,
    F: Future<Output = Result<T, E>>,
{
    match injected {
        chaos::Injected::Latency(by) => {
            let until = journey.now.checked_add(by).unwrap_or(attempt.call_deadline.instant());
            let delay = Some(Box::pin(tokio::time::sleep_until(until.into())));
            Work::Late { delay, work: make(attempt) }
        }
        chaos::Injected::Fault(seawall_core::Chaos::Hang) => Work::Hung,
        chaos::Injected::Fault(what) => match judge.injected(what) {
            Some(result) => Work::Injected { result: Some(result) },
            // There is no such result for this kind of work.
            None => Work::Made { work: make(attempt) },
        },
    }
}
