//! How many calls start in a second, for all callers together or for each apart.
//!
//! Does not know: who calls; callers are numbers. Invariants: a token bucket admits no more than
//! `burst + per_second * t` calls in any span `t`, a sliding window never more than its number in
//! any span of its length, by however many threads; no more callers are remembered than
//! `keys_max`.

use std::time::{Duration, Instant};

use crate::gcra::{Gcra, Pace};

mod keys;
mod windows;

use keys::Keys;
use windows::Windows;

/// Holds the numbers of a rate limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Calls a second, above 0.
    pub per_second: f64,
    /// How many may start at once after a quiet time; at least 1.
    pub burst: u32,
    /// How calls are counted.
    pub kind: RateAlgorithm,
    /// Counts each caller apart.
    pub keyed: Option<Keyed>,
}

/// The way in which calls are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateAlgorithm {
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
        Self { per_second: 100.0, burst: 100, kind: RateAlgorithm::TokenBucket, keyed: None }
    }
}

/// Limits how many calls start; shared by reference. A token bucket for all callers together is
/// one atomic; the other kinds take a lock.
#[derive(Debug)]
pub struct Rate {
    epoch: Instant,
    all: Cell,
    keys: Keys,
}

/// The part of a limit that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemainingQuota {
    /// How many calls may start in one window, or at once.
    pub limit: u64,
    /// How many of them may start now.
    pub remaining: u64,
    /// How long it takes until all may.
    pub reset: Duration,
}

/// Counts the calls of one caller, or of all.
#[derive(Debug, Default)]
struct Cell {
    tokens: Gcra,
    windows: Windows,
}

impl Rate {
    /// Makes a limit with all its burst; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self { epoch, all: Cell::default(), keys: Keys::default() }
    }

    /// Takes a token, of the caller with this key if callers are counted apart; a caller without
    /// a key is counted with all others that have none.
    ///
    /// `now` is to be read at this gate, not at the call's start: an old one is refused for tokens
    /// that have come since.
    ///
    /// # Errors
    ///
    /// Returns how long it takes until there is a token: [`Duration::MAX`] if there never is.
    pub fn take(&self, params: &Params, key: Option<u64>, now: Instant) -> Result<(), Duration> {
        let now = crate::nanos(self.epoch, now);
        match (params.keyed, key) {
            (Some(keyed), Some(key)) => {
                self.keys.with(keyed.keys_max, key, |cell| cell.take(params, now))
            }
            _ => self.all.take(params, now),
        }
    }

    /// Returns how much is left, of the caller with this key if callers are counted apart.
    pub fn room(&self, params: &Params, key: Option<u64>, now: Instant) -> RemainingQuota {
        let now = crate::nanos(self.epoch, now);
        match (params.keyed, key) {
            (Some(keyed), Some(key)) => {
                self.keys.with(keyed.keys_max, key, |cell| cell.room(params, now))
            }
            _ => self.all.room(params, now),
        }
    }
}

impl Params {
    /// Returns how many calls a window of this length holds; at least one.
    fn in_window(&self, length: Duration) -> u32 {
        // The cast saturates.
        ((self.per_second * length.as_secs_f64()).round() as u32).max(1)
    }
}

impl Cell {
    fn take(&self, params: &Params, now: u64) -> Result<(), Duration> {
        let Some(pace) = Pace::new(params.per_second, params.burst) else {
            return Err(Duration::MAX);
        };
        match params.kind {
            RateAlgorithm::TokenBucket => self.tokens.take(pace, now),
            RateAlgorithm::FixedWindow(length) => {
                self.windows.take_fixed(crate::saturated(length), params.in_window(length), now)
            }
            RateAlgorithm::SlidingWindow(length) => {
                self.windows.take_sliding(crate::saturated(length), params.in_window(length), now)
            }
        }
        .map_err(Duration::from_nanos)
    }

    fn room(&self, params: &Params, now: u64) -> RemainingQuota {
        let (limit, remaining, reset) = match params.kind {
            RateAlgorithm::TokenBucket => match Pace::new(params.per_second, params.burst) {
                Some(pace) => {
                    let left = self.tokens.milli_tokens(pace, now) / 1000;
                    (params.burst.max(1), left, self.tokens.full_in(now))
                }
                None => (0, 0, u64::MAX),
            },
            RateAlgorithm::FixedWindow(length) => {
                let limit = params.in_window(length);
                let (used, reset) = self.windows.used_fixed(crate::saturated(length), now);
                (limit, u64::from(limit.saturating_sub(used)), reset)
            }
            RateAlgorithm::SlidingWindow(length) => {
                let limit = params.in_window(length);
                let (used, reset) = self.windows.used_sliding(crate::saturated(length), now);
                (limit, u64::from(limit.saturating_sub(used)), reset)
            }
        };
        RemainingQuota { limit: u64::from(limit), remaining, reset: Duration::from_nanos(reset) }
    }
}
