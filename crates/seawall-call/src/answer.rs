//! What comes back from a policy.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use seawall_core::{EndpointId, Fate, Phase, Priority, RetryDenied, ShedReason, Side, TripReason};

use crate::{ErrorKind, Unsound};

/// What the last attempt answered, and how it came about.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What the last attempt answered. A failure that the upstream put into words (a status 500)
    /// is here too, as it came.
    pub value: T,
    /// How the call ended.
    pub fate: Fate,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why an answer that says that the upstream failed was not asked for again; `None` for a good
    /// one, and where the policy has no retries.
    pub denied: Option<RetryDenied>,
    /// Which endpoint answered.
    pub endpoint: EndpointId,
}

/// Why a call has no answer.
///
/// A call that a strategy refused was never sent: where an attempt failed and the next one was
/// refused, the failure stands, and [`denied`](Self::denied) says why it was not repeated.
///
/// It is an [`Error`] for every `E` that can be printed, a `Box<dyn Error + Send + Sync>` and an
/// `anyhow::Error` included, so `?` works with all of them. `E`'s own text is part of what is
/// printed, so it is not a [`source`](Error::source) too; [`inner`](Self::inner) is `E` itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError<E> {
    /// The circuit breaker is open.
    BreakerOpen {
        /// When it will let a probe through.
        retry_after: Duration,
        /// How long ago it opened; `None` if it refuses a share only, or was set by hand.
        open_for: Option<Duration>,
        /// Why it opened; `None` if it refuses a share only.
        cause: Option<TripReason>,
    },
    /// The bulkhead's queue was full.
    QueueFull,
    /// No place in the bulkhead came free in time.
    QueueTimeout {
        /// How long the call waited.
        waited: Duration,
    },
    /// There was too much to do for calls of this priority.
    Shed {
        /// The priority of the call.
        priority: Priority,
        /// What there was too much of.
        why: ShedReason,
    },
    /// The rate limit had no token.
    RateLimited {
        /// When there will be one.
        retry_after: Duration,
    },
    /// The numbers that were given for this call cannot work.
    Unsound(Unsound),
    /// Time ran out.
    TimedOut {
        /// Which limit.
        phase: Phase,
        /// How many attempts were begun.
        attempts: u32,
        /// What stood against another attempt; `None` where the policy has no retries, or the
        /// failure is not the upstream's.
        denied: Option<RetryDenied>,
        /// The endpoint of the last attempt; `None` if none was begun.
        endpoint: Option<EndpointId>,
    },
    /// The last attempt failed.
    Failed {
        /// With what.
        error: E,
        /// How many attempts were made.
        attempts: u32,
        /// What stood against another attempt; `None` where the policy has no retries, or the
        /// failure is not the upstream's.
        denied: Option<RetryDenied>,
        /// The endpoint of the last attempt; `None` if none was begun.
        endpoint: Option<EndpointId>,
    },
}

impl<E> CallError<E> {
    /// Returns which error it is, without what it holds.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BreakerOpen { .. } => ErrorKind::BreakerOpen,
            Self::QueueFull => ErrorKind::QueueFull,
            Self::QueueTimeout { .. } => ErrorKind::QueueTimeout,
            Self::Shed { .. } => ErrorKind::Shed,
            Self::RateLimited { .. } => ErrorKind::RateLimited,
            Self::Unsound(_) => ErrorKind::Unsound,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Failed { .. } => ErrorKind::Failed,
        }
    }

    /// Returns the call's fate.
    pub fn fate(&self) -> Fate {
        match self {
            Self::BreakerOpen { .. } => Fate::RejectedBreaker,
            Self::QueueFull | Self::QueueTimeout { .. } => Fate::RejectedBulkhead,
            Self::Shed { .. } => Fate::RejectedShed,
            Self::RateLimited { .. } => Fate::RejectedRate,
            Self::TimedOut { .. } => Fate::TimedOut,
            Self::Unsound(_) | Self::Failed { .. } => Fate::Failed,
        }
    }

    /// Returns how many attempts were begun.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::TimedOut { attempts, .. } | Self::Failed { attempts, .. } => *attempts,
            _ => 0,
        }
    }

    /// Returns when it is worth trying again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BreakerOpen { retry_after, .. } | Self::RateLimited { retry_after } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }

    /// Returns what stood against another attempt; `None` where the policy has no retries, or the
    /// failure is not the upstream's.
    pub fn denied(&self) -> Option<RetryDenied> {
        match self {
            Self::TimedOut { denied, .. } | Self::Failed { denied, .. } => *denied,
            _ => None,
        }
    }

    /// Returns the endpoint of the last attempt, if one was begun and the call ended with it.
    pub fn endpoint(&self) -> Option<EndpointId> {
        match self {
            Self::TimedOut { endpoint, .. } | Self::Failed { endpoint, .. } => *endpoint,
            _ => None,
        }
    }

    /// Returns the last attempt's own error, if it ended with one.
    pub fn inner(&self) -> Option<&E> {
        match self {
            Self::Failed { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Returns the last attempt's own error, if it ended with one.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Failed { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Changes the last attempt's own error into another one.
    pub fn map<F>(self, change: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::BreakerOpen { retry_after, open_for, cause } => {
                CallError::BreakerOpen { retry_after, open_for, cause }
            }
            Self::QueueFull => CallError::QueueFull,
            Self::QueueTimeout { waited } => CallError::QueueTimeout { waited },
            Self::Shed { priority, why } => CallError::Shed { priority, why },
            Self::Unsound(unsound) => CallError::Unsound(unsound),
            Self::RateLimited { retry_after } => CallError::RateLimited { retry_after },
            Self::TimedOut { phase, attempts, denied, endpoint } => {
                CallError::TimedOut { phase, attempts, denied, endpoint }
            }
            Self::Failed { error, attempts, denied, endpoint } => {
                CallError::Failed { error: change(error), attempts, denied, endpoint }
            }
        }
    }

    /// Returns whether the call was refused here, or given up, and not answered by the upstream.
    pub fn is_local(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }

    /// Returns whose fault it was that there is no answer.
    ///
    /// An upstream that is not called because it failed, or is too slow, is at fault; a rate limit
    /// or a shed call is ours to answer for.
    pub fn side(&self) -> Side {
        match self {
            Self::BreakerOpen { .. } | Self::TimedOut { .. } | Self::Failed { .. } => {
                Side::Upstream
            }
            Self::QueueFull | Self::QueueTimeout { .. } | Self::Shed { .. } | Self::Unsound(_) => {
                Side::Us
            }
            Self::RateLimited { .. } => Side::Client,
        }
    }

    /// Returns the HTTP status that says the same: 429, 500, 502, 503 or 504.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::BreakerOpen { .. }
            | Self::QueueFull
            | Self::QueueTimeout { .. }
            | Self::Shed { .. } => 503,
            Self::Unsound(_) => 500,
            Self::RateLimited { .. } => 429,
            Self::TimedOut { .. } => 504,
            Self::Failed { .. } => 502,
        }
    }
}

impl<E> CallError<E> {
    /// Returns what happened without the last attempt's own error, which may say more than a caller
    /// outside is to know.
    pub fn summary(&self) -> ErrorSummary<'_, E> {
        ErrorSummary(self)
    }
}

/// What happened, without the last attempt's own error; made by [`CallError::summary`].
#[derive(Debug)]
pub struct ErrorSummary<'a, E>(&'a CallError<E>);

impl<E> fmt::Display for ErrorSummary<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            CallError::BreakerOpen { retry_after, cause, .. } => {
                write!(f, "the circuit breaker is open for another {retry_after:?}")?;
                cause.map_or(Ok(()), |cause| write!(f, " ({})", cause.as_str()))
            }
            CallError::QueueFull => f.write_str("the bulkhead and its queue are full"),
            CallError::QueueTimeout { waited } => {
                write!(f, "no place in the bulkhead came free within {waited:?}")
            }
            CallError::Shed { priority, why } => {
                write!(f, "calls of {} priority are shed: {}", priority.as_str(), why.as_str())
            }
            CallError::RateLimited { retry_after } => {
                write!(f, "the rate limit has no token for another {retry_after:?}")
            }
            CallError::Unsound(unsound) => {
                write!(f, "the numbers for this call cannot work: {unsound}")
            }
            CallError::TimedOut { phase: Phase::Total, attempts, .. } => {
                write!(f, "the deadline passed after {attempts} attempts")
            }
            CallError::TimedOut { attempts, denied, .. } => {
                write!(f, "attempt {attempts} took longer than its limit")?;
                not_repeated(f, *denied)
            }
            CallError::Failed { attempts, denied, .. } => {
                write!(f, "attempt {attempts} failed")?;
                not_repeated(f, *denied)
            }
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    /// Says it so that it reads after "could not call the upstream: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)?;
        match self {
            // The alternate form: an error of anyhow's then prints what caused it too.
            Self::Failed { error, .. } => write!(f, ": {error:#}"),
            _ => Ok(()),
        }
    }
}

/// Says why there was no further attempt, unless it was the last one anyway.
fn not_repeated(f: &mut fmt::Formatter<'_>, denied: Option<RetryDenied>) -> fmt::Result {
    match denied {
        None | Some(RetryDenied::Attempts) => Ok(()),
        Some(why) => write!(f, " and was not repeated ({})", why.as_str()),
    }
}

impl<E: fmt::Debug + fmt::Display> Error for CallError<E> {}

impl CallError<Infallible> {
    /// Makes an error that no attempt caused fit for any kind of attempt.
    pub(crate) fn widen<E>(self) -> CallError<E> {
        self.map(|never| match never {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: CallError<&str>, text: &str, fate: Fate) {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.fate(), fate, "{text}");
    }

    fn open(cause: Option<TripReason>) -> CallError<&'static str> {
        let (retry_after, open_for) = (Duration::from_millis(1_500), None);
        CallError::BreakerOpen { retry_after, open_for, cause }
    }

    fn failed(denied: Option<RetryDenied>) -> CallError<&'static str> {
        CallError::Failed { error: "connection reset", attempts: 2, denied, endpoint: None }
    }

    #[test]
    fn an_error_says_what_stood_against_the_call() {
        check(
            open(Some(TripReason::Consecutive)),
            "the circuit breaker is open for another 1.5s (consecutive)",
            Fate::RejectedBreaker,
        );
        check(open(None), "the circuit breaker is open for another 1.5s", Fate::RejectedBreaker);
        check(
            CallError::TimedOut { phase: Phase::Total, attempts: 2, denied: None, endpoint: None },
            "the deadline passed after 2 attempts",
            Fate::TimedOut,
        );
        check(
            CallError::TimedOut {
                phase: Phase::Attempt,
                attempts: 2,
                denied: None,
                endpoint: None,
            },
            "attempt 2 took longer than its limit",
            Fate::TimedOut,
        );
        check(failed(None), "attempt 2 failed: connection reset", Fate::Failed);
        check(
            failed(Some(RetryDenied::Attempts)),
            "attempt 2 failed: connection reset",
            Fate::Failed,
        );
        check(
            failed(Some(RetryDenied::Budget)),
            "attempt 2 failed and was not repeated (budget): connection reset",
            Fate::Failed,
        );
    }

    #[test]
    fn only_a_failed_attempt_has_an_error_of_its_own() {
        let error = failed(None).map(|_| "reset");
        assert_eq!(error.inner(), Some(&"reset"));
        assert_eq!(error.into_inner(), Some("reset"));
        let error = open(None);
        assert_eq!((error.kind(), error.denied()), (ErrorKind::BreakerOpen, None));
        assert!(error.map(|_| "reset").into_inner().is_none());
    }
}
