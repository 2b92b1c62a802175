//! The instant after which an answer is of no use to anyone.

use std::time::{Duration, Instant};

/// Marks the instant after which an answer is of no use.
///
/// It is set once, where a job enters, and only ever shrinks on its way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// Sets a deadline at an instant.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// Sets a deadline `limit` after `now`; a limit past the clock's end is thirty years.
    pub fn after(now: Instant, limit: Duration) -> Self {
        Self(now.checked_add(limit).unwrap_or_else(|| now + FOREVER))
    }

    /// Returns the instant.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// Returns what is left at `now`; zero once it has passed.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Returns whether the deadline has passed at `now`.
    pub fn has_passed(self, now: Instant) -> bool {
        now >= self.0
    }

    /// Returns the earlier of the two.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        self.min(other)
    }
}

const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
