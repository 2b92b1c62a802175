//! How long to wait before the next attempt: full jitter.
//!
//! Does not know: why an attempt failed. Invariant: no wait is longer than the cap.

use std::time::Duration;

use seawall_core::Chance;

/// Holds the numbers of a backoff.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The upper end of the first wait; how it grows says `growth`.
    pub base: Duration,
    /// The upper end that no wait passes.
    pub cap: Duration,
    /// How waits grow.
    pub growth: Growth,
    /// How waits are spread.
    pub jitter: Jitter,
}

/// Says how the wait grows from one retry to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// Not at all.
    Constant,
    /// By the base each time.
    Linear,
    /// It doubles.
    #[default]
    Exponential,
}

/// Says how waits are spread, so that callers that failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Not at all: only for tests and for callers that are alone.
    None,
    /// Anything from zero to the upper end ("Exponential Backoff And Jitter", AWS 2015).
    #[default]
    Full,
    /// Half of the upper end, and anything up to the other half (the same).
    Equal,
    /// Anything from the base to three times the last wait (the same).
    Decorrelated,
    /// Up to a quarter more or less than the upper end (Polly, for constant and linear growth).
    Quarter,
    /// Polly's "decorrelated jitter backoff v2": a smooth spread whose median doubles.
    Smooth,
}

impl Default for Params {
    /// 50 ms doubling up to 2 s.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(50),
            cap: Duration::from_secs(2),
            growth: Growth::default(),
            jitter: Jitter::default(),
        }
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
