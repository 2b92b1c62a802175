//! The numbers of a circuit breaker.
//!
//! Does not know: how they are used. Any combination is legal here; `check` says which make sense.

use std::time::Duration;

use seawall_core::{Failure, Outcome};

/// Holds the numbers of a circuit breaker.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Opens at this share of failures, above 0 to 1.
    pub ratio: f64,
    /// But only when at least so many attempts ended within the window.
    pub calls_min: u32,
    /// The time over which attempts are counted; at least two attempts long, or hung ones are
    /// forgotten as fast as they are found.
    pub window: Duration,
    /// Opens after so many failures in a row; 0 for never.
    pub consecutive: u32,
    /// A good answer that took so long counts as a failure; `None` for never.
    pub slow: Option<Duration>,
    /// How long it stays open the first time; doubles while probes fail.
    pub open: Duration,
    /// The longest it stays open.
    pub open_max: Duration,
    /// How many probes must succeed before it closes; at most so many run at once.
    pub probes: u32,
    /// What it does about failures.
    pub mode: Mode,
    /// Over how long the share that is let through grows to the whole after the probes have
    /// passed; zero for at once.
    pub recovery: Duration,
    /// Only says what it would do, and refuses nothing.
    pub is_dry_run: bool,
    /// Whether each endpoint of an upstream has a breaker of its own.
    pub per_endpoint: bool,
}

/// Says what a breaker does about failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Refuses everything while it is open.
    Break,
    /// Refuses a share of attempts that grows with the share of failures, never more than 90 %
    /// (client-side throttling, Google SRE book, chapter 21). It never opens.
    Throttle {
        /// How many times as many attempts as succeed are let through; above 1, usually 2.
        multiple: f64,
    },
}

impl Params {
    /// Returns what an attempt counts as that ended like this after so long.
    #[inline]
    pub fn counted(&self, outcome: Outcome, took: Duration) -> Outcome {
        match (outcome, self.slow) {
            (Outcome::Success, Some(slow)) if took >= slow => Outcome::Failure(Failure::Slow),
            _ => outcome,
        }
    }
}

impl Default for Params {
    /// Half of at least 20 attempts in 20 s, or 10 in a row; 5 s open, 8 s at most, so that all is
    /// served again 10 s after a fault; 3 probes.
    fn default() -> Self {
        Self {
            ratio: 0.5,
            calls_min: 20,
            window: Duration::from_secs(20),
            consecutive: 10,
            slow: None,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(8),
            probes: 3,
            mode: Mode::Break,
            recovery: Duration::ZERO,
            is_dry_run: false,
            per_endpoint: true,
        }
    }
}
