//! How long an answer may be used again, and how old it may get when the upstream fails.
//!
//! Does not know: what an answer is, or where it is kept. Invariant: nothing is used that is older
//! than its time to be fresh plus the longer of the two stale times.

use std::time::{Duration, Instant};

/// Holds the numbers of a cache of answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How long an answer is fresh that does not say so itself (`Cache-Control`, `Expires`).
    pub fresh_for: Duration,
    /// How long after that it is still used while a newer one is fetched.
    pub stale_while_revalidate: Duration,
    /// How long after that it is still used when the upstream fails.
    pub stale_on_error: Duration,
    /// How many answers are kept.
    pub entries_max: u32,
    /// How many bytes they take together.
    pub bytes_max: u64,
    /// The bytes of the largest answer that is kept.
    pub answer_bytes_max: u64,
}

/// Says what an answer says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// How long it is fresh, from the time it was made.
    pub fresh_for: Option<Duration>,
    /// How old it was when it came.
    pub age: Duration,
    /// Whether it may be used while a newer one is fetched.
    pub while_revalidate: Stale,
    /// Whether it may be used when the upstream fails.
    pub on_error: Stale,
}

/// Says what an answer says of its use after its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stale {
    /// Nothing: the numbers of the cache decide.
    #[default]
    Unsaid,
    /// For so long, and no longer than the numbers of the cache.
    For(Duration),
    /// Never.
    Never,
}

/// The times until which an answer may be used, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When it was made, as far as that is known.
    made: Instant,
    fresh_until: Instant,
    revalidate_until: Instant,
    error_until: Instant,
}

/// Says how an answer may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As it is.
    Fresh,
    /// As it is, while somebody fetches a newer one; and if that fails.
    Revalidate,
    /// Only if the upstream fails.
    OnError,
    /// Not at all.
    Gone,
}

impl Default for Params {
    /// Fresh only by the answer's own word; 10 min for a failing upstream; 10,000 answers,
    /// 64 MiB together, 1 MiB each.
    fn default() -> Self {
        Self {
            fresh_for: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_on_error: Duration::from_secs(600),
            entries_max: 10_000,
            bytes_max: 64 * 1024 * 1024,
            answer_bytes_max: 1024 * 1024,
        }
    }
}

impl Params {
    /// Works out until when an answer may be used that came at `now`.
    pub fn times(&self, own: &Own, now: Instant) -> Freshness {
        let fresh_for = own.fresh_for.unwrap_or(self.fresh_for).min(LONGEST);
        let after = |stale: Duration| {
            // From now on, so that nothing has to be taken from an instant.
            now + fresh_for.saturating_add(stale.min(LONGEST)).saturating_sub(own.age)
        };
        let fresh_until = after(Duration::ZERO);
        Freshness {
            made: now.checked_sub(own.age).unwrap_or(now),
            fresh_until,
            revalidate_until: own.while_revalidate.within(self.stale_while_revalidate, &after),
            error_until: own.on_error.within(self.stale_on_error, &after),
        }
    }
}

impl Stale {
    fn within(self, max: Duration, after: &impl Fn(Duration) -> Instant) -> Instant {
        match self {
            Self::Unsaid => after(max),
            Self::For(own) => after(own.min(max)),
            Self::Never => after(Duration::ZERO),
        }
    }
}

impl Freshness {
    /// Says how the answer may be used at `now`.
    pub fn look(&self, now: Instant) -> Look {
        if now < self.fresh_until {
            Look::Fresh
        } else if now < self.revalidate_until {
            Look::Revalidate
        } else if now < self.error_until {
            Look::OnError
        } else {
            Look::Gone
        }
    }

    /// Returns whether the answer may be used at `now` because the upstream failed.
    ///
    /// One that may be used while a newer one is fetched may be used if that fails, too.
    pub fn may_stand_in(&self, now: Instant) -> bool {
        self.look(now) != Look::Gone
    }

    /// Returns how old the answer is.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made)
    }

    /// Returns for how long the answer is still fresh.
    pub fn fresh_for(&self, now: Instant) -> Duration {
        self.fresh_until.saturating_duration_since(now)
    }
}

/// A century: an answer may say more, and an instant cannot hold it.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
