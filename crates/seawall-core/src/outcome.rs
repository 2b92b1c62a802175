//! How one attempt ended, as the strategies see it.

use std::time::Duration;

/// Says how one attempt ended.
///
/// Only [`Outcome::Failure`] and [`Outcome::Overload`] speak against an upstream. A neutral
/// outcome teaches nothing: the caller left, or we refused the attempt ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The upstream answered.
    Success,
    /// The upstream failed.
    Failure(Failure),
    /// The upstream said that it has too much to do.
    Overload {
        /// The status it said so with (429, or 503 with a `Retry-After`).
        status: u16,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The attempt says nothing about the upstream.
    Neutral(Neutral),
}

/// Says how the upstream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// No connection could be opened.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// The attempt ran out of time.
    TimedOut,
    /// The answer says that the upstream failed (a 5xx status).
    Status(u16),
    /// The answer was not what the protocol allows.
    Malformed,
    /// The body ended early or came too slowly.
    Body,
    /// The answer was good, and later than it may be.
    Slow,
    /// The code that makes the attempt panicked; its caller gets the panic.
    Panicked,
}

/// Says why an attempt teaches nothing about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Neutral {
    /// The caller went away.
    ClientGone,
    /// The caller's own deadline passed.
    CallerDeadline,
    /// Another attempt of the same call answered first.
    HedgeLost,
    /// The connection had been forgotten by the other side while it was idle.
    StaleConnection,
    /// The upstream said that this caller asks too often (429).
    Throttled,
    /// We refused the attempt ourselves, or could not make it.
    LocalReject,
    /// The server is stopping.
    Shutdown,
}

impl Outcome {
    /// Returns the word for this outcome, as it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Overload { .. } => "overload",
            Self::Neutral(_) => "neutral",
        }
    }

    /// Returns whether this outcome speaks against the upstream.
    pub const fn is_against_upstream(self) -> bool {
        matches!(self, Self::Failure(_) | Self::Overload { .. })
    }
}

impl Failure {
    /// Returns the word for this failure.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Status(_) => "status",
            Self::Malformed => "malformed",
            Self::Body => "body",
            Self::Slow => "slow",
            Self::Panicked => "panicked",
        }
    }
}
