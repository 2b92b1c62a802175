//! The plan: which strategies a policy has, in which order, with which numbers.
//!
//! The order is fixed: deadline > rate > [ retry: budget > breaker > bulkhead > attempt timeout >
//! call ]. The rate limit counts calls, the bulkhead counts attempts.

use crate::{breaker, budget, bulkhead, rate, retry, timeout};

/// Holds the numbers of one policy; every part but the timeouts is optional.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The time limits.
    pub timeout: timeout::Params,
    /// Whether and when an attempt is repeated.
    pub retry: Option<retry::Params>,
    /// How many retries an upstream may see, shared by all its callers.
    pub budget: Option<budget::Params>,
    /// When an upstream is no longer called.
    pub breaker: Option<breaker::Params>,
    /// How many attempts run at once, and how many wait.
    pub limit: Option<bulkhead::Params>,
    /// How many calls start in a second.
    pub rate: Option<rate::Params>,
}

impl Params {
    /// Returns the policy of every upstream that names no other.
    pub fn standard() -> Self {
        Self {
            timeout: timeout::Params::default(),
            retry: Some(retry::Params::default()),
            budget: Some(budget::Params::default()),
            breaker: Some(breaker::Params::default()),
            limit: Some(bulkhead::Params::default()),
            rate: None,
        }
    }
}
