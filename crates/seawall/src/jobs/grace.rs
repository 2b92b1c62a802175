//! The time that calls under way have when a run is told to stop.
//!
//! Does not know: who stops it, what comes after.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// The time that calls under way have; none as long as nobody has said stop.
#[derive(Default)]
pub(crate) struct Grace(Option<Pin<Box<Sleep>>>);

impl Grace {
    /// Begins.
    pub(crate) fn begin(&mut self, lasts: Duration) {
        self.0 = Some(Box::pin(sleep(lasts)));
    }

    /// Returns whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until it is over; for ever, if it never begins.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn is_over(&mut self) {
        match &mut self.0 {
            Some(sleep) => sleep.await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_over_at_its_time_and_never_if_nobody_has_begun_it() {
        let (mut grace, lasts) = (Grace::default(), Duration::from_secs(9));
        assert!(timeout(lasts, grace.is_over()).await.is_err());
        let began = Instant::now();
        grace.begin(lasts);
        grace.is_over().await;
        assert_eq!(began.elapsed(), lasts);
    }
}
