//! How many calls start in a second: a token bucket (GCRA).
//!
//! Does not know: who calls. Invariant: in any span `t` no more than `burst + per_second * t`
//! calls are admitted, by however many threads.

use std::time::{Duration, Instant};

use crate::gcra::{Gcra, Pace};

/// Holds the numbers of a rate limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Calls a second, above 0.
    pub per_second: f64,
    /// How many may start at once after a quiet time; at least 1.
    pub burst: u32,
    /// How calls are counted.
    pub kind: Kind,
    /// Counts each caller apart.
    pub keyed: Option<Keyed>,
}

/// Says how calls are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A token bucket (GCRA): smooth, with a burst.
    #[default]
    TokenBucket,
    /// So many in each window, which begins anew when it is over: as many paid services count. Up
    /// to twice as many in a span that lies across two windows.
    FixedWindow(Duration),
    /// So many in the last window, counted in ten parts: never more in any span of that length.
    SlidingWindow(Duration),
}

/// Says how callers are told apart; who a caller is, is a number that comes with the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// How many callers are remembered.
    pub keys_max: u32,
}

impl Default for Params {
    /// 100 calls a second, 100 at once.
    fn default() -> Self {
        Self { per_second: 100.0, burst: 100, kind: Kind::TokenBucket, keyed: None }
    }
}

/// Limits how many calls start; atomics, shared by reference.
#[derive(Debug)]
pub struct Rate {
    epoch: Instant,
    tokens: Gcra,
}

impl Rate {
    /// Makes a limit with all its burst; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self { epoch, tokens: Gcra::default() }
    }

    /// Takes a token.
    ///
    /// `now` is to be read at this gate, not at the call's start: an old one is refused for tokens
    /// that have come since.
    ///
    /// # Errors
    ///
    /// Returns how long it takes until there is a token: [`Duration::MAX`] if there never is.
    pub fn take(&self, params: &Params, now: Instant) -> Result<(), Duration> {
        let Some(pace) = Pace::new(params.per_second, params.burst) else {
            return Err(Duration::MAX);
        };
        self.tokens.take(pace, crate::nanos(self.epoch, now)).map_err(Duration::from_nanos)
    }
}
