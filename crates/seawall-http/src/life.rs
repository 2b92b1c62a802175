//! How long a connection is used: its greatest age and number of requests.
//!
//! Does not know: what a connection is. Both bounds are drawn a little lower for each connection, so
//! that those which were opened together are not all opened anew together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::Options;

/// Counts the requests and the time that a connection has left.
pub(crate) struct Life {
    until: Instant,
    requests_left: u64,
}

impl Life {
    /// Begins with a connection that has just been opened.
    pub(crate) fn begin(options: &Options) -> Self {
        let draw = RandomState::new().hash_one(()) % SHARES;
        let less = |bound: u64| bound - bound / 10 * draw / SHARES;
        let age = options.age_max.as_millis().try_into().unwrap_or(u64::MAX);
        Self {
            until: Instant::now() + Duration::from_millis(less(age)),
            requests_left: less(options.requests_max).max(1),
        }
    }

    /// Counts a request.
    pub(crate) fn count(&mut self) {
        self.requests_left = self.requests_left.saturating_sub(1);
    }

    /// Returns how much longer the connection may wait for another request; nothing if it may not
    /// carry one.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (self.requests_left > 0 && !left.is_zero()).then_some(left)
    }
}

/// In how many steps a bound is drawn between nine tenths of it and the whole.
const SHARES: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(age_max: Duration, requests_max: u64) -> Options {
        Options { age_max, requests_max, ..Options::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_gets_old_a_little_before_its_greatest_age() {
        let minute = Duration::from_secs(60);
        let lives: Vec<_> = (0..64).map(|_| Life::begin(&options(minute, 10))).collect();
        assert!(lives.iter().all(|life| life.left().is_some_and(|left| left <= minute)));
        let first = lives[0].left();
        assert!(lives.iter().any(|life| life.left() != first), "all end together");
        tokio::time::advance(Duration::from_secs(53)).await;
        assert!(lives.iter().all(|life| life.left().is_some()));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(lives.iter().all(|life| life.left().is_none()));
    }

    #[tokio::test]
    async fn a_connection_carries_no_more_than_its_number_of_requests() {
        for most in [1, 2, 1000] {
            let mut life = Life::begin(&options(Duration::from_secs(60), most));
            let carried = (0..2000).take_while(|_| {
                let is_left = life.left().is_some();
                life.count();
                is_left
            });
            let carried = carried.count() as u64;
            assert!(carried <= most && carried >= most - most / 10, "{carried} of {most}");
        }
    }
}
