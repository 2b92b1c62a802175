//! What comes back from a policy.

use std::convert::Infallible;
use std::time::Duration;

use seawall_core::{Fate, Phase};

use crate::Ticket;

/// Holds what the last attempt answered, and the place in the bulkhead that it still has.
#[derive(Debug)]
pub struct Answer<T> {
    /// What the last attempt answered. A failure that the upstream put into words (a status 500)
    /// is here too, as it came.
    pub value: T,
    /// How the call ended.
    pub fate: Fate,
    /// How many attempts were made.
    pub attempts: u32,
    /// The attempt's place in the bulkhead: keep it until the body has ended.
    pub ticket: Ticket,
}

/// Says why a call has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError<E> {
    /// The circuit breaker is open.
    BreakerOpen {
        /// When it will let a probe through.
        retry_after: Duration,
        /// How many attempts were made before.
        attempts: u32,
    },
    /// The bulkhead's queue was full.
    QueueFull {
        /// How many attempts were made before.
        attempts: u32,
    },
    /// No place in the bulkhead came free in time.
    QueueTimeout {
        /// How long the call waited.
        waited: Duration,
        /// How many attempts were made before.
        attempts: u32,
    },
    /// The rate limit had no token.
    RateLimited {
        /// When there will be one.
        retry_after: Duration,
    },
    /// Time ran out.
    TimedOut {
        /// Which limit.
        phase: Phase,
        /// How many attempts were begun.
        attempts: u32,
    },
    /// The last attempt failed.
    Failed {
        /// With what.
        error: E,
        /// How many attempts were made.
        attempts: u32,
    },
}

impl<E> CallError<E> {
    /// Returns the call's fate.
    pub fn fate(&self) -> Fate {
        match self {
            Self::BreakerOpen { .. } => Fate::RejectedBreaker,
            Self::QueueFull { .. } | Self::QueueTimeout { .. } => Fate::RejectedBulkhead,
            Self::RateLimited { .. } => Fate::RejectedRate,
            Self::TimedOut { .. } => Fate::TimedOut,
            Self::Failed { .. } => Fate::Failed,
        }
    }

    /// Returns how many attempts were begun.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::BreakerOpen { attempts, .. }
            | Self::QueueFull { attempts }
            | Self::QueueTimeout { attempts, .. }
            | Self::TimedOut { attempts, .. }
            | Self::Failed { attempts, .. } => *attempts,
            Self::RateLimited { .. } => 0,
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
}

impl CallError<Infallible> {
    /// Makes an error that no attempt caused fit for any kind of attempt.
    pub(crate) fn widen<E>(self) -> CallError<E> {
        match self {
            Self::BreakerOpen { retry_after, attempts } => {
                CallError::BreakerOpen { retry_after, attempts }
            }
            Self::QueueFull { attempts } => CallError::QueueFull { attempts },
            Self::QueueTimeout { waited, attempts } => CallError::QueueTimeout { waited, attempts },
            Self::RateLimited { retry_after } => CallError::RateLimited { retry_after },
            Self::TimedOut { phase, attempts } => CallError::TimedOut { phase, attempts },
            Self::Failed { error, .. } => match error {},
        }
    }
}
