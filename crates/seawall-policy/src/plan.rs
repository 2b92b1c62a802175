//! The plan: which strategies a policy has, in which order, with which numbers.
//!
//! The order is fixed: cache > coalesce > deadline > shed > rate > [ retry and hedge: budget >
//! endpoint (outlier) > breaker > bulkhead (adaptive) > attempt timeout > call ]. The rate limit counts calls, the bulkhead counts attempts: a call that sleeps in backoff
//! holds no place.
//!
//! Does not know: how a plan is carried out.

use std::fmt;
use std::time::Duration;

use seawall_core::{Neutral, Outcome};

use crate::{
    adaptive, backoff, breaker, budget, bulkhead, cache, hedge, outlier, rate, retry, shed, timeout,
};

/// Holds the numbers of one policy; every part but the timeouts is optional.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How long answers are used again.
    pub cache: Option<cache::Params>,
    /// Whether calls that ask the same at the same time share one answer.
    pub coalesce: bool,
    /// The time limits.
    pub timeout: timeout::Params,
    /// Which calls are refused first when there is too much to do.
    pub shed: Option<shed::Params>,
    /// Whether and when an attempt is repeated.
    pub retry: Option<retry::Params>,
    /// How many retries an upstream may see, shared by all its callers.
    pub budget: Option<budget::Params>,
    /// When a second attempt is sent beside the first.
    pub hedge: Option<hedge::Params>,
    /// Which endpoints are left out, if there are several.
    pub outlier: Option<outlier::Params>,
    /// When an upstream is no longer called.
    pub breaker: Option<breaker::Params>,
    /// How many attempts run at once, and how many wait.
    pub limit: Option<bulkhead::Params>,
    /// How the number of attempts in flight is learned; only with a `limit`, which is its maximum.
    pub adaptive: Option<adaptive::Params>,
    /// How many calls start in a second.
    pub rate: Option<rate::Params>,
    /// Whether an overload of this caller alone (HTTP's 429) speaks against the upstream. It does
    /// not by default: the others must not be refused for it.
    pub counts_throttled: bool,
}

impl Params {
    /// Returns the policy of every upstream that names no other.
    pub fn standard() -> Self {
        Self {
            retry: Some(retry::Params::default()),
            budget: Some(budget::Params::default()),
            outlier: Some(outlier::Params::default()),
            breaker: Some(breaker::Params::default()),
            limit: Some(bulkhead::Params::default()),
            adaptive: Some(adaptive::Params::default()),
            ..Self::bare()
        }
    }

    /// Returns a policy of time limits and nothing else.
    pub fn bare() -> Self {
        Self {
            cache: None,
            coalesce: false,
            timeout: timeout::Params::default(),
            shed: None,
            rate: None,
            retry: None,
            budget: None,
            hedge: None,
            outlier: None,
            breaker: None,
            limit: None,
            adaptive: None,
            counts_throttled: false,
        }
    }

    /// Returns what an attempt's outcome counts as for the breaker, the endpoints and the adaptive
    /// limit. Whether the attempt is repeated is decided by the outcome as it is.
    #[inline]
    pub fn counted(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Overload { is_throttled: true, .. } if !self.counts_throttled => {
                Outcome::Neutral(Neutral::Throttled)
            }
            outcome => outcome,
        }
    }

    /// Returns how long a call can take at worst, part by part.
    pub fn worst_case(&self) -> WorstCase {
        let attempts = self.retry.as_ref().map_or(1, |retry| retry.attempts_max.max(1));
        let backoff = self
            .retry
            .as_ref()
            .map_or(Duration::ZERO, |retry| backoff_sum(&retry.backoff, attempts - 1));
        let queue = self
            .limit
            .as_ref()
            .filter(|limit| limit.queue_max > 0)
            .map_or(Duration::ZERO, |limit| {
                limit.queue_wait_max.min(self.timeout.total / 5).saturating_mul(attempts)
            });
        let hedge = self.hedge.as_ref().map_or(Duration::ZERO, |hedge| {
            hedge_wait(hedge, self.timeout.attempt).saturating_mul(attempts)
        });
        WorstCase {
            attempts: self.timeout.attempt.saturating_mul(attempts),
            hedge,
            backoff,
            queue,
            total: self.timeout.total,
        }
    }
}

/// Holds how long a call can take at worst until its answer's head, part by part.
///
/// An upstream that asks for more time with `Retry-After` gets it, within the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// Every attempt runs out of time.
    pub attempts: Duration,
    /// Every hedged attempt is sent as late as it can be, and is waited for.
    pub hedge: Duration,
    /// Every wait between them is as long as it can be.
    pub backoff: Duration,
    /// Every attempt waits for its place as long as it may.
    pub queue: Duration,
    /// What all this is cut at.
    pub total: Duration,
}

impl WorstCase {
    /// Returns how long the caller waits at worst.
    pub fn answer(&self) -> Duration {
        self.sum().min(self.total)
    }

    /// Returns how long it would take if it were not cut.
    pub fn sum(&self) -> Duration {
        let Self { attempts, hedge, backoff, queue, .. } = *self;
        attempts.saturating_add(hedge).saturating_add(backoff).saturating_add(queue)
    }
}

impl fmt::Display for WorstCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, hedge, backoff, queue, total } = self;
        let answer = self.answer();
        write!(f, "{answer:?}: {attempts:?} of attempts, ")?;
        if !hedge.is_zero() {
            write!(f, "{hedge:?} of hedging, ")?;
        }
        write!(f, "{backoff:?} of backoff, {queue:?} of queue")?;
        f.write_str(if self.sum() > *total { ", cut at the deadline" } else { "" })
    }
}

/// Returns how much later than the first the last attempt of one try may end: each that is sent
/// beside it begins its own time.
fn hedge_wait(hedge: &hedge::Params, attempt: Duration) -> Duration {
    let after = match hedge.after {
        hedge::After::AtOnce => Duration::ZERO,
        hedge::After::Fixed(after) => after.max(hedge.min),
        // What is measured is never longer than an attempt may take.
        hedge::After::Quantile(_) => attempt,
    };
    // After the end of the first there is nothing to send another beside.
    if after > attempt { Duration::ZERO } else { after.saturating_mul(hedge.extra_max) }
}

/// Adds up the upper ends of the first `retries` waits.
pub(crate) fn backoff_sum(backoff: &backoff::Params, retries: u32) -> Duration {
    // The wait no longer grows after 32 doublings.
    let growing = retries.min(32);
    let sum: Duration = (1..=growing)
        .map(|retry| backoff::upper(backoff, retry))
        .fold(Duration::ZERO, Duration::saturating_add);
    sum.saturating_add(backoff::upper(backoff, 32).saturating_mul(retries - growing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overload_of_one_caller_counts_only_where_the_policy_says_so() {
        let overload =
            |is_throttled| Outcome::Overload { code: None, retry_after: None, is_throttled };
        let lenient = Params::bare();
        let strict = Params { counts_throttled: true, ..Params::bare() };
        assert_eq!(lenient.counted(overload(true)), Outcome::Neutral(Neutral::Throttled));
        assert_eq!(lenient.counted(overload(false)), overload(false));
        assert_eq!(strict.counted(overload(true)), overload(true));
    }
}
