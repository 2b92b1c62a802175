//! Faults that are put into attempts on purpose, to see what they do.
//!
//! Does not know: how a fault is carried out. Invariant: after its end, and without a plan,
//! nothing is injected.

use std::time::{Duration, Instant};

/// Says which faults are injected, into what share of attempts, and until when.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// When it is over, whatever happens.
    pub until: Instant,
    /// Only attempts of calls with this key; `None` for all.
    pub key: Option<u64>,
    /// The share of attempts that begin later, 0 to 1.
    pub latency: f64,
    /// By how much later.
    pub latency_by: Duration,
    /// The share that is answered with an error.
    pub errors: f64,
    /// The share that is never answered.
    pub hangs: f64,
    /// The share whose connection is reset.
    pub resets: f64,
}
