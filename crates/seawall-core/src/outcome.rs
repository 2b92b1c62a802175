//! How one attempt ended, as the strategies see it.

use std::time::Duration;

use crate::Code;

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
        /// The code it said so with, if it said one. A policy repeats the codes that it lists, and
        /// an overload without one always.
        code: Option<Code>,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
        /// Whether it has too much of this caller alone (HTTP's 429): others are served, so it
        /// counts against the upstream only where the policy says so.
        is_throttled: bool,
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
    /// The upstream answered that it failed. It is final, unless the policy lists the code.
    Answered(Code),
    /// The upstream answered that it failed, and that the same request may pass when it comes
    /// again (PostgreSQL's 40001): it is worth another attempt to every policy that makes one.
    Transient(Code),
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
    /// The upstream said that this caller asks too often.
    Throttled,
    /// We refused the attempt ourselves, or could not make it.
    LocalReject,
    /// The server is stopping.
    Shutdown,
}

impl Outcome {
    /// Says that the upstream has too much to do, without a code, and without a time to come again.
    pub const fn overload() -> Self {
        Self::Overload { code: None, retry_after: None, is_throttled: false }
    }

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
            Self::Answered(_) => "status",
            Self::Transient(_) => "transient",
            Self::Malformed => "malformed",
            Self::Body => "body",
            Self::Slow => "slow",
            Self::Panicked => "panicked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_no_larger_for_its_code() {
        // Every attempt copies some.
        assert_eq!(size_of::<Outcome>(), 24);
    }
}
