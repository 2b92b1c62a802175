//! Layers of one strategy: the same policy with everything else off.
//!
//! Does not know: the strategies. Each is a [`PolicyLayer`], so clones share its state, and a stack
//! of them is a policy whose parts do not know of each other: prefer one policy with several parts.

use std::time::Duration;

use seawall_policy::{Params, breaker as breaking, bulkhead, hedge as hedging, rate as rating};
use seawall_policy::{budget, retry as retrying};

use super::PolicyLayer;
use crate::{Builder, Unsound};

/// Limits the time until the answer's head.
///
/// # Errors
///
/// Returns what cannot work.
#[doc(alias = "TimeoutLayer")]
pub fn timeout(total: Duration) -> Result<PolicyLayer, Unsound> {
    let timed = Builder::from(bare()).total_timeout(total).attempt_timeout(total);
    timed.build().map(PolicyLayer::new)
}

/// Repeats failed requests, within the standard budget: retries without one finish a sick upstream
/// off.
///
/// # Errors
///
/// Returns what cannot work.
#[doc(alias = "RetryLayer")]
pub fn retry(params: retrying::Params) -> Result<PolicyLayer, Unsound> {
    single(|all| {
        all.retry = Some(params);
        all.budget = Some(budget::Params::default());
    })
}

/// Stops calling a service that fails. An attempt is given up after `attempt`: a breaker that waits
/// for a hung probe for ever never closes again.
///
/// # Errors
///
/// Returns what cannot work.
#[doc(alias = "BreakerLayer")]
#[doc(alias = "CircuitBreakerLayer")]
pub fn breaker(params: breaking::Params, attempt: Duration) -> Result<PolicyLayer, Unsound> {
    single(|all| {
        all.timeout.attempt = attempt;
        all.timeout.total = attempt;
        all.breaker = Some(params);
    })
}

/// Limits how many requests run at once, and how many wait.
///
/// # Errors
///
/// Returns what cannot work.
#[doc(alias = "LimitLayer")]
#[doc(alias = "ConcurrencyLimitLayer")]
pub fn limit(params: bulkhead::Params) -> Result<PolicyLayer, Unsound> {
    single(|all| all.limit = Some(params))
}

/// Limits how many requests start in a second.
///
/// # Errors
///
/// Returns what cannot work.
#[doc(alias = "RateLayer")]
#[doc(alias = "RateLimitLayer")]
pub fn rate(params: rating::Params) -> Result<PolicyLayer, Unsound> {
    single(|all| all.rate = Some(params))
}

/// Sends a second request beside one that is slow, and takes the first good answer.
///
/// # Errors
///
/// Returns what cannot work.
#[doc(alias = "HedgeLayer")]
pub fn hedge(params: hedging::Params) -> Result<PolicyLayer, Unsound> {
    single(|all| all.hedge = Some(params))
}

fn single(change: impl FnOnce(&mut Params)) -> Result<PolicyLayer, Unsound> {
    let mut params = bare();
    change(&mut params);
    Builder::from(params).build().map(PolicyLayer::new)
}

/// Returns a policy without parts, whose time limits are a day for each of seven attempts: those
/// that it cannot be without are not to be noticed.
fn bare() -> Params {
    let mut params = Params::bare();
    params.timeout.total = DAY * 7;
    params.timeout.attempt = DAY;
    params
}

const DAY: Duration = Duration::from_secs(24 * 3600);
