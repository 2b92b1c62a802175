//! How a call ended, in one word: the same in metrics, logs, problem bodies and the dashboard.

use std::fmt;

/// Says how a call ended, as its caller saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// The first attempt answered.
    Ok,
    /// A later attempt answered.
    OkAfterRetry,
    /// A hedged attempt answered first.
    OkHedged,
    /// The upstream failed and an older answer was served.
    Stale,
    /// The upstream failed and a prepared answer was served.
    Fallback,
    /// The circuit breaker was open.
    RejectedBreaker,
    /// The bulkhead and its queue were full, or the queue time ran out.
    RejectedBulkhead,
    /// The rate limit had no token.
    RejectedRate,
    /// The call was shed because of load.
    RejectedShed,
    /// The deadline passed.
    TimedOut,
    /// The upstream answered with a failure, or not at all.
    Failed,
    /// The caller went away, or the server stopped.
    Cancelled,
}

impl Fate {
    /// Lists every fate, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::OkAfterRetry,
        Self::OkHedged,
        Self::Stale,
        Self::Fallback,
        Self::RejectedBreaker,
        Self::RejectedBulkhead,
        Self::RejectedRate,
        Self::RejectedShed,
        Self::TimedOut,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns the word for this fate, as it stands in metrics, logs and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OkAfterRetry => "ok_after_retry",
            Self::OkHedged => "ok_hedged",
            Self::Stale => "stale",
            Self::Fallback => "fallback",
            Self::RejectedBreaker => "rejected_breaker",
            Self::RejectedBulkhead => "rejected_bulkhead",
            Self::RejectedRate => "rejected_rate",
            Self::RejectedShed => "rejected_shed",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether a strategy refused the call: how long that took says nothing about the
    /// upstream.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::RejectedBreaker
                | Self::RejectedBulkhead
                | Self::RejectedRate
                | Self::RejectedShed
        )
    }

    /// Returns whether a call ended without a good answer although its caller waited for one: then
    /// an old answer, or a prepared one, is better than none.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::RejectedBreaker
            | Self::RejectedBulkhead
            | Self::RejectedRate
            | Self::RejectedShed
            | Self::TimedOut
            | Self::Failed => true,
            Self::Ok
            | Self::OkAfterRetry
            | Self::OkHedged
            | Self::Stale
            | Self::Fallback
            | Self::Cancelled => false,
        }
    }

    /// Returns the place of this fate in [`Fate::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_stands_at_its_index() {
        for (index, fate) in Fate::ALL.into_iter().enumerate() {
            assert_eq!(fate.index(), index, "{fate}");
        }
    }
}
