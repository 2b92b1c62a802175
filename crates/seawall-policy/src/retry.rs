//! Whether a failed attempt is repeated.
//!
//! Does not know: methods, headers, bodies; whoever asks says whether a request may be repeated.
//! Invariant: a retry is never earlier than the upstream asked for, never after the deadline, and
//! never unpaid.

use std::time::{Duration, Instant};

use seawall_core::{Chance, Code, Deadline, Failure, Outcome, RetryDenied, RetryReason};

use crate::backoff::{self, Backoff};
use crate::budget::{self, Budget};

/// Holds the numbers of a retry.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How many attempts a call makes at most, the first included; at least 1.
    pub attempts_max: u32,
    /// What is worth another attempt.
    pub on: On,
    /// How long to wait between attempts.
    pub backoff: backoff::Params,
    /// Repeats requests whose method is not idempotent, even if they may have been seen.
    pub any_method: bool,
    /// Trusts an `Idempotency-Key` header to make any request repeatable.
    pub idempotency_key: bool,
    /// How many bytes of a request's body are kept for another attempt.
    pub replay_bytes_max: usize,
}

/// Says what is worth another attempt, besides what the upstream itself calls so
/// ([`Failure::Transient`], and an overload without a code).
#[derive(Clone, Debug, PartialEq)]
pub struct On {
    /// No connection could be opened.
    pub connect: bool,
    /// The connection ended before an answer, or what came was no answer.
    pub reset: bool,
    /// The attempt timed out.
    pub timeout: bool,
    /// The upstream answered one of these codes, whether as a failure or as an overload.
    pub codes: Vec<Code>,
}

impl Default for Params {
    /// Three attempts, full jitter from 50 ms, idempotent methods, 64 KiB kept.
    fn default() -> Self {
        Self {
            attempts_max: 3,
            on: On::default(),
            backoff: backoff::Params::default(),
            any_method: false,
            idempotency_key: false,
            replay_bytes_max: 64 * 1024,
        }
    }
}

impl Default for On {
    /// Lost connections, timeouts, and the codes by which HTTP says "not now": 429, 502, 503, 504.
    fn default() -> Self {
        let codes = [429, 502, 503, 504].map(Code::from).to_vec();
        Self { connect: true, reset: true, timeout: true, codes }
    }
}

/// The shortest wait that a `Retry-After` of zero is turned into.
pub const RETRY_AFTER_FLOOR: Duration = Duration::from_millis(1);

/// The end of an attempt, and what is known then.
#[derive(Clone, Copy, Debug)]
pub struct AttemptEnd {
    /// The number of the attempt that ended, from 1.
    pub number: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the request may be sent again, and if not, why.
    pub may_repeat: Result<(), RetryDenied>,
    /// When the whole call is given up.
    pub deadline: Deadline,
    /// How many times the caller has tried this call already, this time included.
    pub caller_attempt: u32,
    /// How many attempts are in flight at this upstream.
    pub in_flight: u32,
    /// How long the caller wants to wait, if it does not leave that to the backoff.
    pub delay: Option<Duration>,
}

/// Says what follows from the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The call ends with what it has: a failure, for this reason, or else what is none.
    Stop(Option<RetryDenied>),
    /// Another attempt is made; it has been paid for, and [begun](Budget::begin).
    After {
        /// How long to wait before it.
        delay: Duration,
        /// Why it is made.
        reason: RetryReason,
    },
}

/// Decides whether a call makes another attempt.
///
/// A `Retry-After` is never undercut; when it, or the backoff, would pass the deadline, the call
/// stops at once instead of waiting for nothing. The budget pays last, so that nothing is taken
/// from it for a retry that is not made.
///
/// A caller that is retrying itself gets no retries of ours once half of the budget is gone: three
/// attempts on each of three floors are 27 (Google SRE book, chapter 21).
pub fn decide(
    params: &Params,
    budget: Option<(&Budget, &budget::Params)>,
    ended: &AttemptEnd,
    backoff: &mut Backoff,
    now: Instant,
    chance: &mut Chance,
) -> Decision {
    let Some(reason) = params.on.reason(ended.outcome) else {
        let is_failure = ended.outcome.is_against_upstream();
        return Decision::Stop(is_failure.then_some(RetryDenied::Final));
    };
    if ended.number >= params.attempts_max {
        return Decision::Stop(Some(RetryDenied::Attempts));
    }
    if let Err(why) = ended.may_repeat {
        return Decision::Stop(Some(why));
    }
    let delay = delay(params, ended, backoff, chance);
    if delay >= ended.deadline.remaining(now) {
        return Decision::Stop(Some(RetryDenied::Deadline));
    }
    if let Some((budget, params)) = budget
        && let Err(why) = pay(budget, params, ended, now)
    {
        return Decision::Stop(Some(why));
    }
    Decision::After { delay, reason }
}

/// Pays for one retry and begins it.
fn pay(
    budget: &Budget,
    params: &budget::Params,
    ended: &AttemptEnd,
    now: Instant,
) -> Result<(), RetryDenied> {
    if ended.caller_attempt > 1 && budget.is_low(params, now) {
        return Err(RetryDenied::Layered);
    }
    if !budget.begin(params, ended.in_flight) {
        return Err(RetryDenied::InFlight);
    }
    if !budget.withdraw(params, now) {
        budget.end();
        return Err(RetryDenied::Budget);
    }
    Ok(())
}

/// Adds the backoff to what the upstream asked for: callers who were all told the same second
/// would otherwise come back as one. A wait that the caller chose is only made as long as that.
fn delay(
    params: &Params,
    ended: &AttemptEnd,
    backoff: &mut Backoff,
    chance: &mut Chance,
) -> Duration {
    let asked = match ended.outcome {
        Outcome::Overload { retry_after: Some(asked), .. } => Some(asked.max(RETRY_AFTER_FLOOR)),
        _ => None,
    };
    match ended.delay {
        Some(own) => own.max(asked.unwrap_or_default()),
        None => {
            let wait = backoff.next(&params.backoff, ended.number, chance);
            asked.unwrap_or_default().saturating_add(wait)
        }
    }
}

impl On {
    /// Returns for which reason an outcome is worth another attempt, if it is.
    pub fn reason(&self, outcome: Outcome) -> Option<RetryReason> {
        let (is_on, reason) = match outcome {
            Outcome::Failure(Failure::Connect) => (self.connect, RetryReason::Connect),
            Outcome::Failure(Failure::Reset | Failure::Malformed) => {
                (self.reset, RetryReason::Reset)
            }
            Outcome::Failure(Failure::TimedOut) => (self.timeout, RetryReason::TimedOut),
            Outcome::Failure(Failure::Answered(code))
            | Outcome::Overload { code: Some(code), .. } => {
                (self.codes.contains(&code), RetryReason::Status)
            }
            Outcome::Failure(Failure::Transient(_)) | Outcome::Overload { code: None, .. } => {
                (true, RetryReason::Transient)
            }
            // The caller has a part of the body already.
            Outcome::Failure(Failure::Body) => return None,
            // There is an answer, or there is nobody to repeat it for.
            _ => return None,
        };
        is_on.then_some(reason)
    }
}
