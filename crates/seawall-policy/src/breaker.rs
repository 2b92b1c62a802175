//! When an upstream is no longer called, and how it is tried again.

use std::time::Duration;

/// Holds the numbers of a circuit breaker.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Opens at this share of failures, above 0 to 1.
    pub ratio: f64,
    /// But only when at least so many attempts ended within the window.
    pub calls_min: u32,
    /// The time over which attempts are counted.
    pub window: Duration,
    /// Opens after so many failures in a row; 0 for never.
    pub consecutive: u32,
    /// How long it stays open the first time; doubles while probes fail.
    pub open: Duration,
    /// The longest it stays open.
    pub open_max: Duration,
    /// How many probes must succeed before it closes; at most so many run at once.
    pub probes: u32,
}

impl Default for Params {
    /// Half of at least 20 attempts in 10 s, or 10 in a row; 5 s open, 60 s at most; 3 probes.
    fn default() -> Self {
        Self {
            ratio: 0.5,
            calls_min: 20,
            window: Duration::from_secs(10),
            consecutive: 10,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            probes: 3,
        }
    }
}
