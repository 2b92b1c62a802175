//! How long to wait before the next attempt: full jitter.

use std::time::Duration;

/// Holds the numbers of a backoff.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The upper end of the first wait; it doubles with each further one.
    pub base: Duration,
    /// The upper end that no wait passes.
    pub cap: Duration,
}

impl Default for Params {
    /// 50 ms doubling up to 2 s.
    fn default() -> Self {
        Self { base: Duration::from_millis(50), cap: Duration::from_secs(2) }
    }
}
