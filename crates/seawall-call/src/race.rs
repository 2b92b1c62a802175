//! A race between work and an instant.
//!
//! Does not know: what the work is, or whose limit the instant is. Invariant: the work is polled
//! first, and work that is ready at its first poll never touches the timer wheel.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::{Sleep, sleep_until};

use crate::frame::Frame;

pin_project! {
    /// Gives the work's output, or `None` once `until` has passed and the work is not ready.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the work.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Race<'a, F> {
        #[pin]
        work: F,
        until: Instant,
        frame: &'a Frame<'a>,
        // Taken at the first poll that finds the work pending: arming a timer costs more than
        // the whole policy.
        #[pin]
        timer: Option<Unconstrained<Sleep>>,
    }
}

impl<'a, F: Future> Race<'a, F> {
    pub(crate) fn new(work: F, until: Instant, frame: &'a Frame<'a>) -> Self {
        Self { work, until, frame, timer: None }
    }
}

impl<F: Future> Future for Race<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut race = self.project();
        // It was polled before, and found pending.
        if race.timer.is_some() {
            race.frame.set_waits(false);
        }
        if let Poll::Ready(output) = race.work.poll(cx) {
            return Poll::Ready(Some(output));
        }
        if race.timer.is_none() {
            // Unconstrained: work that uses up the task's budget at every poll would otherwise
            // keep the timer from ever being looked at.
            race.timer.set(Some(unconstrained(sleep_until((*race.until).into()))));
        }
        if let Some(timer) = race.timer.as_pin_mut()
            && timer.poll(cx).is_pending()
        {
            race.frame.set_waits(true);
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::sync::Arc;
    use std::time::Duration;

    use seawall_core::{CancelCell, Silent, UpstreamId};
    use seawall_policy::Params;

    use super::*;
    use crate::Policy;
    use crate::clock::now;

    /// Lets work race in the frame of a call.
    async fn race<F: Future>(work: F, until: Instant) -> Option<F::Output> {
        let policy = Policy::new(UpstreamId(0), Params::bare(), Arc::new(Silent));
        let (params, cancel) = (policy.params(), CancelCell::new());
        let context = crate::Context::new(&cancel);
        let frame = Frame::new(&policy.core, &params, &context, true);
        Race::new(work, until, &frame).await
    }

    #[test]
    fn ready_work_needs_no_timer_and_no_runtime() {
        let work = std::pin::pin!(race(ready(1), Instant::now()));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(work.poll(&mut cx), Poll::Ready(Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_never_ends_loses_at_its_instant() {
        let start = now();
        let until = start + Duration::from_millis(40);
        assert_eq!(race(pending::<()>(), until).await, None);
        assert_eq!(now() - start, Duration::from_millis(40));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_ready_together_with_the_timer_wins() {
        let until = now() + Duration::from_millis(40);
        let work = sleep_until(until.into());
        assert_eq!(race(work, until).await, Some(()));
    }

    #[tokio::test]
    async fn work_that_eats_the_tasks_whole_budget_still_loses() {
        let (tx, mut rx) = tokio::sync::mpsc::channel::<()>(1);
        let greedy = poll_fn(|cx| {
            // Every message taken costs budget; when it is used up the channel says "pending".
            while let Poll::Ready(Some(())) = rx.poll_recv(cx) {
                let _ = tx.try_send(());
            }
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        tx.try_send(()).expect("the channel has room for one");
        assert_eq!(race(greedy, now() + Duration::from_millis(5)).await, None);
    }
}
