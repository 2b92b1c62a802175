//! Which error a call ended with, as a word without what it holds.

use std::fmt;

/// Says which error a call ended with; more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The circuit breaker was open.
    BreakerOpen,
    /// The bulkhead's queue was full.
    QueueFull,
    /// No place in the bulkhead came free in time.
    QueueTimeout,
    /// There was too much to do for calls of this priority.
    Shed,
    /// The rate limit had no token.
    RateLimited,
    /// The numbers for this call could not work.
    Unsound,
    /// Time ran out.
    TimedOut,
    /// The last attempt failed.
    Failed,
}

impl ErrorKind {
    /// Returns the word for this kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker_open",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Shed => "shed",
            Self::RateLimited => "rate_limited",
            Self::Unsound => "unsound",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
