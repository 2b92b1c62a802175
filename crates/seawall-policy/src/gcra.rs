//! The generic cell rate algorithm on atomics: what the rate limit and the budget's floor use.
//!
//! Does not know: what a token is worth. Invariant: within any span `t`, no more than
//! `burst + t / interval` tokens are given.

use std::sync::atomic::Ordering;

use crate::sync::AtomicU64;

/// Keeps account of tokens.
#[derive(Debug, Default)]
pub(crate) struct Gcra {
    /// The theoretical arrival time of the next token, in nanoseconds since the epoch.
    arrival: AtomicU64,
    /// The span of the pace that `arrival` was reckoned by.
    span: AtomicU64,
}

/// Holds the spacing of tokens and how many may be taken at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    interval: u64,
    burst: u64,
}

impl Pace {
    /// Sets a pace; `None` where no token ever comes (zero, negative or not a number).
    pub(crate) fn new(per_second: f64, burst: u32) -> Option<Self> {
        if per_second.is_nan() || per_second <= 0.0 {
            return None;
        }
        // Rounded up, so that rounding never gives more than was asked for. Casts saturate.
        let interval = ((1e9 / per_second).ceil() as u64).max(1);
        Some(Self { interval, burst: u64::from(burst.max(1)) })
    }

    fn span(self) -> u64 {
        self.interval.saturating_mul(self.burst)
    }
}

impl Gcra {
    /// Takes one token at `now`, or returns after how many nanoseconds there will be one.
    pub(crate) fn take(&self, pace: Pace, now: u64) -> Result<(), u64> {
        self.adopt(pace, now);
        let full = now.saturating_add(pace.span());
        // Relaxed: the number stands for itself; no other memory is published through it.
        let mut arrival = self.arrival.load(Ordering::Relaxed);
        loop {
            // Unused time is not hoarded.
            let next = arrival.max(now).saturating_add(pace.interval);
            if next > full {
                return Err(next - full);
            }
            match self.arrival.compare_exchange_weak(
                arrival,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(seen) => arrival = seen,
            }
        }
    }

    /// Returns how many thousandths of a token could be taken at `now`.
    pub(crate) fn milli_tokens(&self, pace: Pace, now: u64) -> u64 {
        let arrival = self.arrival.load(Ordering::Relaxed).max(now);
        let left = now.saturating_add(pace.span()).saturating_sub(arrival);
        (u128::from(left) * 1000 / u128::from(pace.interval)) as u64
    }

    /// Returns after how many nanoseconds all tokens are there.
    pub(crate) fn full_in(&self, now: u64) -> u64 {
        self.arrival.load(Ordering::Relaxed).saturating_sub(now)
    }

    /// Limits a debt that was made at another pace to one burst of this one: after a change from
    /// one a minute to a thousand a second nobody waits for minutes.
    fn adopt(&self, pace: Pace, now: u64) {
        let span = pace.span();
        if self.span.load(Ordering::Relaxed) != span
            && self.span.swap(span, Ordering::Relaxed) != span
        {
            self.arrival.fetch_min(now.saturating_add(span), Ordering::Relaxed);
        }
    }
}
