//! What a person says about a breaker, always until an end.
//!
//! Does not know: who may say it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use seawall_core::TripReason;

use super::{Breaker, BreakerTransition, FORCED, ISOLATED, STATE_MASK};

impl Breaker {
    /// Refuses everything until the given instant; then it is closed.
    pub fn isolate(&self, until: Instant) -> BreakerTransition {
        self.set_by_hand(ISOLATED, until)
    }

    /// Lets everything through until the given instant, whatever fails; then it is closed.
    pub fn force(&self, until: Instant) -> BreakerTransition {
        self.set_by_hand(FORCED, until)
    }

    /// Ends what was said by hand: it is closed, and knows nothing. `None` if nothing was said.
    pub fn release(&self) -> Option<BreakerTransition> {
        let mut slow = self.lock();
        let state = self.word.load(Ordering::Relaxed) & STATE_MASK;
        matches!(state, ISOLATED | FORCED).then(|| self.close_locked(&mut slow, TripReason::ByHand))
    }

    fn set_by_hand(&self, state: u64, until: Instant) -> BreakerTransition {
        let mut slow = self.lock();
        slow.opened = 0;
        self.trip.set_by_hand();
        self.stay_until(until);
        self.turn_locked(state, TripReason::ByHand)
    }
}
