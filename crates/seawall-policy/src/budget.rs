//! How many retries an upstream may see: a share of its calls, and a floor for quiet times.
//!
//! Does not know: why a retry is wanted. Invariant: over any span `t` no more retries are allowed
//! than `RESERVE + ratio * calls` and `floor * (t + 1 s)` together.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::gcra::{Gcra, Pace};
use crate::sync::{AtomicU32, AtomicU64};

/// Holds the numbers of a retry budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Retries per call, 0 to 1, in steps of a thousandth.
    pub ratio: f64,
    /// Retries a second that are always allowed.
    pub floor_per_second: f64,
    /// How many retries are under way at most, as a share of attempts in flight, above 0 to 1.
    pub in_flight_ratio: f64,
    /// How many retries may be under way in any case.
    pub in_flight_min: u32,
}

impl Default for Params {
    /// 20 % and 10 a second (Finagle); 20 % of what is in flight (Envoy), and 10: a retry that waits
    /// counts here, and with Envoy's 3 a quick upstream at 500 calls a second, a tenth of which fail,
    /// was refused a third of its retries.
    fn default() -> Self {
        Self { ratio: 0.2, floor_per_second: 10.0, in_flight_ratio: 0.2, in_flight_min: 10 }
    }
}

/// How many retries can be saved up in good times.
///
/// It bounds the burst at the beginning of an outage and nothing else: while every call fails,
/// what counts is the ratio.
pub const RESERVE: u32 = 100;

/// Keeps account of retries for all callers of one upstream; atomics, shared by reference.
#[derive(Debug)]
pub struct Budget {
    epoch: Instant,
    saved_milli: AtomicU64,
    floor: Gcra,
    /// How many retries are under way, the waits before them included.
    under_way: AtomicU32,
}

impl Budget {
    /// Makes a budget in which nothing is saved yet; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            saved_milli: AtomicU64::new(0),
            floor: Gcra::default(),
            under_way: AtomicU32::new(0),
        }
    }

    /// Saves one call's share: to be called once a call, not once an attempt.
    pub fn deposit(&self, params: &Params) {
        let mut saved = self.saved_milli.load(Ordering::Relaxed);
        // In good times it is full, and this is all.
        if saved >= RESERVE_MILLI {
            return;
        }
        let share = (params.ratio.clamp(0.0, 1.0) * 1000.0).round() as u64;
        while saved < RESERVE_MILLI {
            let next = (saved + share).min(RESERVE_MILLI);
            match self.saved_milli.compare_exchange_weak(
                saved,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(seen) => saved = seen,
            }
        }
    }

    /// Pays for one retry; `false` means that it must not be made.
    #[must_use]
    pub fn withdraw(&self, params: &Params, now: Instant) -> bool {
        let paid = self
            .saved_milli
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(1000));
        paid.is_ok()
            || floor(params)
                .is_some_and(|pace| self.floor.take(pace, crate::nanos(self.epoch, now)).is_ok())
    }

    /// Begins a retry beside `in_flight` attempts; `false` means that too many retries are under
    /// way. One that was begun is to be ended.
    ///
    /// The share alone does not help when a thousand calls fail at once: all of them would be
    /// retried at once, out of what was saved.
    #[must_use = "a retry that was begun must be ended"]
    pub fn begin(&self, params: &Params, in_flight: u32) -> bool {
        let share = (f64::from(in_flight) * params.in_flight_ratio.clamp(0.0, 1.0)) as u32;
        let most = share.max(params.in_flight_min);
        self.under_way
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then(|| now + 1))
            .is_ok()
    }

    /// Ends a retry that was begun, whatever became of it.
    pub fn end(&self) {
        let before = self.under_way.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a retry was ended twice");
    }

    /// Returns how many retries are under way.
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Returns whether less than half is left of what there can be.
    pub fn is_low(&self, params: &Params, now: Instant) -> bool {
        let most = f64::from(RESERVE) + params.floor_per_second.ceil();
        self.tokens(params, now) < most / 2.0
    }

    /// Returns how many retries could be paid for at `now`, with fractions.
    pub fn tokens(&self, params: &Params, now: Instant) -> f64 {
        let now = crate::nanos(self.epoch, now);
        let floor = floor(params).map_or(0, |pace| self.floor.milli_tokens(pace, now));
        (self.saved_milli.load(Ordering::Relaxed) + floor) as f64 / 1000.0
    }
}

/// Returns the pace of the floor: a second's worth can be taken at once.
fn floor(params: &Params) -> Option<Pace> {
    Pace::new(params.floor_per_second, params.floor_per_second.ceil() as u32)
}

const RESERVE_MILLI: u64 = RESERVE as u64 * 1000;
