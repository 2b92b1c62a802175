//! How fast a body must come: never silent for too long, never below the floor rate.
//!
//! Does not know: where the bytes come from. Only time in which the reader waited counts, so a
//! slow client never makes an upstream look slow.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_core::{Attempt, Cause};
use seawall_wire::Fields;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::head::is_stream;

/// Watches the pace of one body.
pub(crate) struct Pace {
    idle: Duration,
    rate_min: u64,
    bytes: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    /// Armed at the first wait: most bodies arrive whole and never need it.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// Watches a body that may be silent for `idle`, and must bring `rate_min` bytes a second
    /// once it was waited for longer than the grace (5 s). A rate of 0 allows any.
    pub(crate) const fn new(idle: Duration, rate_min: u64) -> Self {
        Self { idle, rate_min, bytes: 0, waited: Duration::ZERO, waiting_since: None, timer: None }
    }

    /// Watches the body of an answer with this head, as its attempt says.
    pub(crate) fn of(headers: &Fields, attempt: &Attempt, rate_min: u64) -> Self {
        match attempt.is_stream || is_stream(headers) {
            true => Self::new(attempt.stream_idle, 0),
            false => Self::new(attempt.idle, rate_min),
        }
    }

    /// Notes that bytes came.
    pub(crate) fn came(&mut self, bytes: usize) -> Result<(), Cause> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let Some(since) = self.waiting_since.take() else { return Ok(()) };
        self.waited += since.elapsed();
        if self.waited >= GRACE && self.bytes < self.bytes_due() {
            return Err(Cause::TooSlow);
        }
        Ok(())
    }

    /// Begins a silence anew: something else has happened.
    pub(crate) fn begin_anew(&mut self) {
        self.waiting_since = None;
    }

    /// Notes that nothing is there yet; ready with a cause when the wait is over.
    pub(crate) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Cause> {
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            let end = now + self.idle;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(end),
                None => self.timer = Some(Box::pin(sleep_until(end))),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Cause::TimedOut),
            None => Poll::Pending,
        }
    }

    fn bytes_due(&self) -> u64 {
        self.rate_min.saturating_mul(self.waited.as_secs())
    }
}

/// How long a body may be as slow as it likes (Kestrel's `MinResponseDataRate` grace).
const GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn silence(pace: &mut Pace, length: Duration) -> Option<Cause> {
        tokio::time::timeout(length, poll_fn(|cx| pace.poll_silence(cx))).await.ok()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn u7_a_drip_is_cut_after_the_grace() {
        let mut pace = Pace::new(15 * SECOND, 240);
        for second in 1..=4 {
            assert_eq!(silence(&mut pace, SECOND).await, None);
            assert_eq!(pace.came(1), Ok(()), "after {second} s");
        }
        assert_eq!(silence(&mut pace, SECOND + SECOND / 10).await, None);
        assert_eq!(pace.came(1), Err(Cause::TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_above_the_floor_is_never_cut() {
        let mut pace = Pace::new(15 * SECOND, 240);
        for _ in 0..100 {
            assert_eq!(silence(&mut pace, SECOND).await, None);
            assert_eq!(pace.came(250), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_ends_at_its_limit_and_every_byte_starts_it_anew() {
        let mut pace = Pace::new(3 * SECOND, 0);
        for _ in 0..5 {
            assert_eq!(silence(&mut pace, 2 * SECOND).await, None);
            assert_eq!(pace.came(1), Ok(()));
        }
        assert_eq!(silence(&mut pace, 4 * SECOND).await, Some(Cause::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_reader_spends_elsewhere_does_not_count() {
        let mut pace = Pace::new(3 * SECOND, 240);
        for _ in 0..10 {
            tokio::time::sleep(100 * SECOND).await;
            assert_eq!(pace.came(1), Ok(()));
        }
    }
}
