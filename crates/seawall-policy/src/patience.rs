//! How long callers wait before they leave, learned from those who left.
//!
//! Does not know: why somebody left. It stands behind its caller's lock. Invariants: nobody who left
//! sooner than a good answer could have come teaches anything, and nobody whose like stayed.

use std::time::{Duration, Instant};

/// How long callers wait before they leave.
#[derive(Debug, Default)]
pub struct Patience {
    /// The newest ages in microseconds at which somebody left, around a ring.
    ages: [u32; AGES],
    next: usize,
    known: usize,
    newest: Option<Instant>,
    /// The estimate that follows from them.
    estimate: Duration,
    /// Those who left last, of whom it is not known yet how many stayed.
    together: Option<Together>,
}

/// Callers who left at about the same time.
#[derive(Debug)]
struct Together {
    since: Instant,
    callers: u64,
    /// How long the first had waited.
    age: Duration,
    /// How many calls had ended by then.
    ended: u64,
}

impl Patience {
    /// Takes note that a caller left who had waited for `age`, where answers usually take `usual` and
    /// `ended` calls have ended so far.
    ///
    /// Those who leave together count once, and only if they were a considerable part of all until
    /// the next one leaves: a program that ends drops all its calls at once, and a reader who goes on
    /// to another page drops one of many. Neither says that the others would not have waited.
    pub fn left(&mut self, age: Duration, usual: Duration, ended: u64, now: Instant) {
        if age < usual.saturating_mul(WAITED_MIN) || age.is_zero() {
            return;
        }
        if let Some(together) = &mut self.together
            && now.saturating_duration_since(together.since) < TOGETHER
        {
            together.callers += 1;
            return;
        }
        let before = self.together.replace(Together { since: now, callers: 1, age, ended });
        if let Some(Together { since, callers, age, ended: by_then }) = before
            && callers.saturating_mul(ENDED_MAX) >= ended.saturating_sub(by_then)
        {
            self.learn(age, since);
        }
    }

    fn learn(&mut self, age: Duration, now: Instant) {
        if self.newest.is_none_or(|newest| now.saturating_duration_since(newest) > FORGOTTEN) {
            (self.known, self.next) = (0, 0);
        }
        self.newest = Some(now);
        self.ages[self.next] = u32::try_from(age.as_micros()).unwrap_or(u32::MAX);
        self.next = (self.next + 1) % AGES;
        self.known = (self.known + 1).min(AGES);
        let mut sorted = self.ages;
        let sorted = &mut sorted[..self.known];
        sorted.sort_unstable();
        self.estimate = Duration::from_micros(sorted[self.known / 4].into());
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
/// Who leaves within this time of another leaves together with it.
const TOGETHER: Duration = Duration::from_millis(50);
/// So many calls may end for each that leaves; with more than that, most stay.
const ENDED_MAX: u64 = 20;
