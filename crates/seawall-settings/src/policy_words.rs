//! Words of a policy's settings for what its machines have in another form.
//!
//! Does not know: what they stand for.

use seawall_core::words;

/// What a breaker does about failures, as the file says it.
#[derive(Clone, Copy)]
pub(super) enum BreakerMode {
    Break,
    Throttle,
}

words!(BreakerMode { Break => "break", Throttle => "throttle" });

/// How calls are counted, as the file says it.
#[derive(Clone, Copy)]
pub(super) enum RateKind {
    TokenBucket,
    FixedWindow,
    SlidingWindow,
}

words!(RateKind {
    TokenBucket => "token-bucket",
    FixedWindow => "fixed-window",
    SlidingWindow => "sliding-window",
});
