//! How long callers wait before they leave, learned from those who left.
//!
//! Does not know: why somebody left. It stands behind its caller's lock. Invariant: nobody who left
//! sooner than a good answer could have come teaches anything.

use std::time::{Duration, Instant};

/// How long callers wait before they leave.
#[derive(Debug, Default)]
pub struct Patience {
    /// The newest ages in milliseconds at which somebody left, around a ring.
    ages: [u32; AGES],
    next: usize,
    known: usize,
    newest: Option<Instant>,
    /// The estimate that follows from them.
    estimate: Duration,
}

impl Patience {
    /// Takes note that a caller left who had waited for `age`, where answers usually take `usual`.
    pub fn left(&mut self, age: Duration, usual: Duration, now: Instant) {
        if age < usual.saturating_mul(WAITED_MIN) || age.is_zero() {
            return;
        }
        if self.newest.is_none_or(|newest| now.saturating_duration_since(newest) > FORGOTTEN) {
            (self.known, self.next) = (0, 0);
        }
        self.newest = Some(now);
        self.ages[self.next] = u32::try_from(age.as_millis()).unwrap_or(u32::MAX);
        self.next = (self.next + 1) % AGES;
        self.known = (self.known + 1).min(AGES);
        let mut sorted = self.ages;
        let sorted = &mut sorted[..self.known];
        sorted.sort_unstable();
        self.estimate = Duration::from_millis(sorted[self.known / 4].into());
    }

    /// Returns how long callers wait; where nobody has left of late, longer than most would.
    pub fn estimate(&self, usual: Duration, now: Instant) -> Duration {
        let is_known = self.known >= KNOWN_MIN
            && self.newest.is_some_and(|newest| now.saturating_duration_since(newest) <= FORGOTTEN);
        match is_known {
            true => self.estimate,
            false => usual.saturating_mul(UNKNOWN).max(UNKNOWN_MIN),
        }
    }
}

/// Returns how long a caller may wait for its turn and still have time for its answer: half as long
/// again as it usually takes.
pub fn worth(patience: Duration, usual: Duration) -> Duration {
    patience.saturating_sub(usual.saturating_mul(3) / 2).max(patience / 4)
}

const AGES: usize = 32;
const KNOWN_MIN: usize = 4;
/// Whoever leaves sooner than so many usual answers take did not leave for the wait.
const WAITED_MIN: u32 = 2;
/// How many usual answers callers wait of whom nothing is known, and how long at least.
const UNKNOWN: u32 = 10;
const UNKNOWN_MIN: Duration = Duration::from_secs(1);
const FORGOTTEN: Duration = Duration::from_secs(300);
