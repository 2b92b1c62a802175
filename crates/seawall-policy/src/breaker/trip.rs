//! Since when a breaker refuses, and why.
//!
//! Does not know: states. It is read beside the state, not with it: for the moment in which a
//! breaker changes, what is said here may be that of the state before or after.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use seawall_core::{BreakerState, TripReason};

use super::{Breaker, named};

/// Says since when and why a breaker does not let everything through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// When it opened; a probe that failed in between does not change it. `None` if it was set by
    /// hand.
    pub since: Option<Instant>,
    /// Why.
    pub why: TripReason,
}

/// Holds the last trip: nanoseconds since the epoch plus one, and in the lowest bits the reason.
#[derive(Debug, Default)]
pub(super) struct Cell(AtomicU64);

impl Cell {
    pub(super) fn set(&self, why: TripReason, nanos: u64) {
        let place = TripReason::ALL.iter().position(|one| *one == why).unwrap_or(0) as u64;
        // A century and more fits into the bits that are left.
        self.0.store(((nanos >> REASON_BITS) + 1) << REASON_BITS | place, Ordering::Relaxed);
    }

    pub(super) fn set_by_hand(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn get(&self, epoch: Instant) -> Trip {
        let word = self.0.load(Ordering::Relaxed);
        let why = TripReason::ALL.get((word & REASON_MASK) as usize).copied();
        let nanos = ((word >> REASON_BITS).checked_sub(1)).map(|nanos| nanos << REASON_BITS);
        let since = nanos.and_then(|nanos| epoch.checked_add(Duration::from_nanos(nanos)));
        match (since, why) {
            (Some(_), Some(why)) => Trip { since, why },
            _ => Trip { since: None, why: TripReason::ByHand },
        }
    }
}

impl Breaker {
    /// Returns since when and why it does not let everything through; `None` while it does, and
    /// for one that throttles, since it never opens.
    ///
    /// The time is exact to 16 ns.
    pub fn last_trip(&self, now: Instant) -> Option<Trip> {
        let state = named(self.word.load(Ordering::Acquire));
        let is_over = matches!(self.state(now), BreakerState::Closed | BreakerState::Forced);
        (state != BreakerState::Closed && !is_over).then(|| self.trip.get(self.epoch))
    }
}

/// As many as the reasons need.
const REASON_BITS: u32 = 4;
const REASON_MASK: u64 = (1 << REASON_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_fits_and_comes_back() {
        let epoch = Instant::now();
        assert!(TripReason::ALL.len() <= 1 << REASON_BITS);
        let cell = Cell::default();
        assert_eq!(cell.get(epoch), Trip { since: None, why: TripReason::ByHand });
        for why in TripReason::ALL {
            cell.set(*why, 64_000);
            let since = epoch + Duration::from_nanos(64_000);
            assert_eq!(cell.get(epoch), Trip { since: Some(since), why: *why });
        }
    }
}
