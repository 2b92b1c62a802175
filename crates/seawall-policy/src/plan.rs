//! The plan: which strategies a policy has, in which order, with which numbers.
//!
//! The order is fixed: deadline > rate > [ retry: budget > breaker > bulkhead > attempt timeout >
//! call ]. The rate limit counts calls, the bulkhead counts attempts: a call that sleeps in backoff
//! holds no place.
//!
//! Does not know: how a plan is carried out.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::{
    Problem, adaptive, backoff, breaker, budget, bulkhead, cache, check, hedge, outlier, rate,
    retry, shed, timeout,
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
        }
    }

    /// Returns every impossible combination of numbers, all at once; empty for a sound policy.
    pub fn check(&self) -> Vec<Problem> {
        check::problems(self)
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
        WorstCase {
            attempts: self.timeout.attempt.saturating_mul(attempts),
            backoff,
            queue,
            total: self.timeout.total,
        }
    }

    /// Writes the policy down for people, one line a strategy, outermost first.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.describe_to(&mut text);
        text
    }

    fn describe_to(&self, f: &mut String) -> fmt::Result {
        let timeout::Params { total, attempt, connect, idle } = self.timeout;
        writeln!(f, "deadline  {total:?} for everything until the answer's head")?;
        match &self.rate {
            Some(rate::Params { per_second, burst, .. }) => {
                writeln!(f, "rate      {per_second} calls a second, {burst} at once")?;
            }
            None => writeln!(f, "rate      off")?,
        }
        match &self.retry {
            Some(retry) => describe_retry(f, retry)?,
            None => writeln!(f, "retry     off")?,
        }
        match &self.budget {
            Some(budget::Params { ratio, floor_per_second: floor, .. }) => {
                let percent = percent(*ratio);
                writeln!(f, "budget    retries for {percent} of calls, and {floor} a second")?;
            }
            None => writeln!(f, "budget    off")?,
        }
        match &self.breaker {
            Some(breaker) => describe_breaker(f, breaker)?,
            None => writeln!(f, "breaker   off")?,
        }
        match &self.limit {
            Some(bulkhead::Params { in_flight_max, queue_max, queue_wait_max, .. }) => writeln!(
                f,
                "limit     {in_flight_max} attempts in flight, {queue_max} waiting up to \
                 {queue_wait_max:?}"
            )?,
            None => writeln!(f, "limit     off")?,
        }
        let connect = connect.min(attempt);
        writeln!(f, "attempt   {attempt:?}, {connect:?} of it to connect; {idle:?} of silence")?;
        writeln!(f, "at worst  {}", self.worst_case())
    }
}

/// Holds how long a call can take at worst until its answer's head, part by part.
///
/// An upstream that asks for more time with `Retry-After` gets it, within the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// Every attempt runs out of time.
    pub attempts: Duration,
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
        self.attempts.saturating_add(self.backoff).saturating_add(self.queue)
    }
}

impl fmt::Display for WorstCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, backoff, queue, total } = self;
        let answer = self.answer();
        write!(f, "{answer:?}: {attempts:?} of attempts, {backoff:?} of backoff, {queue:?} of ")?;
        write!(f, "queue{}", if self.sum() > *total { ", cut at the deadline" } else { "" })
    }
}

fn describe_retry(f: &mut String, retry: &retry::Params) -> fmt::Result {
    let retry::On { connect, reset, timeout, statuses } = &retry.on;
    let backoff::Params { base, cap, .. } = retry.backoff;
    write!(f, "retry     {} attempts on", retry.attempts_max)?;
    for (word, is_on) in [("connect", connect), ("reset", reset), ("timeout", timeout)] {
        if *is_on {
            write!(f, " {word}")?;
        }
    }
    for status in statuses {
        write!(f, " {status}")?;
    }
    let methods = match (retry.any_method, retry.idempotency_key) {
        (true, _) => "any method",
        (false, true) => "idempotent methods or an idempotency key",
        (false, false) => "idempotent methods",
    };
    writeln!(f, "; {base:?} doubling to {cap:?}, full jitter; {methods}")
}

fn describe_breaker(f: &mut String, breaker: &breaker::Params) -> fmt::Result {
    let breaker::Params { calls_min, window, consecutive, open, open_max, probes, .. } = breaker;
    let percent = percent(breaker.ratio);
    write!(f, "breaker   opens at {percent} of at least {calls_min} attempts in {window:?}")?;
    if *consecutive > 0 {
        write!(f, " or {consecutive} in a row")?;
    }
    writeln!(f, "; {open:?} doubling to {open_max:?}; {probes} probes")
}

fn percent(ratio: f64) -> String {
    // Rounded to a thousandth: 0.07 * 100 is not 7.
    format!("{} %", (ratio * 100_000.0).round() / 1000.0)
}

/// Adds up the upper ends of the first `retries` waits.
fn backoff_sum(backoff: &backoff::Params, retries: u32) -> Duration {
    // The wait no longer grows after 32 doublings.
    let growing = retries.min(32);
    let sum: Duration = (1..=growing)
        .map(|retry| backoff::upper(backoff, retry))
        .fold(Duration::ZERO, Duration::saturating_add);
    sum.saturating_add(backoff::upper(backoff, 32).saturating_mul(retries - growing))
}
