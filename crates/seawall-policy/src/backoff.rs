//! How long to wait before the next attempt: full jitter.
//!
//! Does not know: why an attempt failed. Invariant: no wait is longer than the cap.

use std::time::Duration;

use seawall_core::Chance;

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

/// Draws the wait before retry number `retry` (from 1): anything from zero to its upper end.
///
/// Full jitter spreads callers that failed together; see "Exponential Backoff And Jitter" (AWS,
/// 2015) for why it beats half or equal jitter.
pub fn wait(params: &Params, retry: u32, chance: &mut Chance) -> Duration {
    upper(params, retry).mul_f64(chance.unit())
}

/// Returns the upper end of the wait before retry number `retry` (from 1).
pub fn upper(params: &Params, retry: u32) -> Duration {
    let doublings = retry.saturating_sub(1).min(31);
    params.base.saturating_mul(1 << doublings).min(params.cap)
}
