//! Refusing a share of attempts that grows with the share of failures.
//!
//! Does not know: states; it only works while the breaker is closed. The formula is that of
//! client-side throttling (Google SRE book, chapter 21): with `requests` asked for and `accepts`
//! answered in the window, `(requests - multiple * accepts) / (requests + 1)` are refused.

use std::time::{Duration, Instant};

use seawall_core::Outcome;

use super::{Breaker, Mode, Params};

impl Breaker {
    /// Counts an attempt that is asked for, and decides whether it is refused; if so, returns when
    /// it is worth asking again.
    pub(super) fn throttled(&self, params: &Params, now: Instant, draw: f64) -> Option<Duration> {
        let Mode::Throttle { multiple } = params.mode else { return None };
        let counts = self.sent.counts(params.window, now);
        // Counted when it is asked for: counted at its end, a hang would look like calm.
        self.sent.record(params.window, now, false);
        if counts.total < u64::from(params.calls_min) {
            return None;
        }
        let (requests, accepts) = (counts.total as f64, counts.failures as f64);
        let share = (requests - multiple.max(1.0) * accepts) / (requests + 1.0);
        (draw < share.min(SHARE_MAX)).then_some(RETRY_AFTER)
    }

    /// Takes note of what became of an attempt that was let through. One that says nothing about
    /// the upstream counts as accepted, or callers that leave would throttle those that stay.
    #[cold]
    pub(super) fn record_sent(&self, params: &Params, outcome: Outcome, now: Instant) {
        if !matches!(outcome, Outcome::Neutral(_)) {
            self.window.record(params.window, now, outcome.is_against_upstream());
        }
        if !outcome.is_against_upstream() {
            // What a window counts as failed stands for accepted here.
            self.sent.mark(params.window, now);
        }
    }
}

/// The largest share that is refused, so that a recovery is seen.
const SHARE_MAX: f64 = 0.9;
const RETRY_AFTER: Duration = Duration::from_secs(1);
