//! One attempt's work, or what chaos makes of it.
//!
//! Does not know: what the work is. Without chaos it is the work and nothing else.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

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
