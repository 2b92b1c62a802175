//! Which endpoints of an upstream are left out because they do worse than the others.
//!
//! Does not know: how an endpoint is picked from those that are in. Invariant: never so many are
//! out that fewer than `keep_min` of them stay in, and always at least one.

use std::time::Duration;

/// Holds the numbers of outlier detection; it needs at least two endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Out after so many failures in a row; 0 for never.
    pub consecutive: u32,
    /// How often shares are compared.
    pub interval: Duration,
    /// Shares are compared among at least so many endpoints.
    pub endpoints_min: u32,
    /// An endpoint's share counts from so many attempts in an interval.
    pub attempts_min: u32,
    /// Out below the mean success share by so many standard deviations; 0 for never.
    pub deviations: f64,
    /// Out at this share of failures, above 0 to 1; above 1 for never.
    pub failures_max: f64,
    /// How long it is out the first time; as much longer each further time.
    pub out: Duration,
    /// The longest it is out.
    pub out_max: Duration,
    /// The share of endpoints that stay in whatever happens, 0 to 1; never less than one.
    pub keep_min: f64,
}

impl Default for Params {
    /// Envoy's numbers, but half of the endpoints stay in: 5 in a row; every 10 s, among at least
    /// 5 with 100 attempts, 1.9 deviations; 30 s, 300 s at most.
    fn default() -> Self {
        Self {
            consecutive: 5,
            interval: Duration::from_secs(10),
            endpoints_min: 5,
            attempts_min: 100,
            deviations: 1.9,
            failures_max: 0.85,
            out: Duration::from_secs(30),
            out_max: Duration::from_secs(300),
            keep_min: 0.5,
        }
    }
}
