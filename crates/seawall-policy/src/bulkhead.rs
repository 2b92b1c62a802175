//! How many attempts run at once, and how many wait for a place.

use std::time::Duration;

/// Holds the numbers of a bulkhead.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How many attempts run at once; at least 1.
    pub in_flight_max: u32,
    /// How many more may wait.
    pub queue_max: u32,
    /// How long each may wait; never longer than a fifth of what is left of its deadline.
    pub queue_wait_max: Duration,
}

impl Default for Params {
    /// 256 at once, 256 waiting, 100 ms each.
    fn default() -> Self {
        Self { in_flight_max: 256, queue_max: 256, queue_wait_max: Duration::from_millis(100) }
    }
}
