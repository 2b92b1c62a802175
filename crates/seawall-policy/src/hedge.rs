//! When a second attempt is sent beside one that has not answered yet.
//!
//! Does not know: whether sending a request twice does harm; its caller asks. Invariant: a hedged
//! attempt is paid for like a retry, and there are never more than `extra_max` of them.

use std::time::Duration;

/// Holds the numbers of hedging.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// After how long the next attempt is sent.
    pub after: After,
    /// But never earlier than this, unless it is to be sent at once.
    pub min: Duration,
    /// How many attempts are sent beside the first; 1 to 3.
    pub extra_max: u32,
    /// The share of calls that may be hedged, above 0 to 1.
    pub ratio_max: f64,
}

/// Says after how long a hedged attempt is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// Together with the first.
    AtOnce,
    /// After this long.
    Fixed(Duration),
    /// Once the attempt takes longer than this share of attempts do (0.95), as measured.
    Quantile(f64),
}

impl Default for Params {
    /// One more, once the first is slower than 95 of 100 and than 20 ms; for a tenth of calls.
    fn default() -> Self {
        Self {
            after: After::Quantile(0.95),
            min: Duration::from_millis(20),
            extra_max: 1,
            ratio_max: 0.1,
        }
    }
}
