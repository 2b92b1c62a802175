//! A body that comes a byte at a time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use seawall_core::Fault;
use tokio::time::{Sleep, sleep};

/// Hands out one byte after the other, with the same wait before each.
pub(crate) struct Drip {
    left: Bytes,
    every: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Drip {
    pub(crate) fn new(bytes: Bytes, bytes_per_second: u32) -> Self {
        let every = Duration::from_secs(1) / bytes_per_second.max(1);
        Self { left: bytes, every, timer: Box::pin(sleep(every)) }
    }
}

impl Body for Drip {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let drip = self.get_mut();
        if drip.left.is_empty() {
            return Poll::Ready(None);
        }
        ready!(drip.timer.as_mut().poll(cx));
        let next = drip.timer.deadline() + drip.every;
        drip.timer.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(drip.left.split_to(1)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
