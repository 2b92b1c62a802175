//! Which calls are refused when this process has too much to do.
//!
//! Does not know: how load is measured. Invariant: a call is never shed while one of lower
//! priority would be admitted.

use std::sync::atomic::{AtomicU32, Ordering};

use seawall_core::{Priority, ShedReason};

/// Holds the numbers of load shedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The load, 0 to 1, from which calls of each priority are shed, the most important first;
    /// above 1 for never. It never falls from one priority to a more important one.
    pub load_max: [f64; 4],
    /// The share of the bulkhead's places that calls of each priority may take, above 0 to 1.
    pub places: [f64; 4],
}

impl Default for Params {
    /// Low at 80 % of load, normal at 90 %, high at 95 %, critical never; low may take 80 % of the
    /// places, the others all.
    fn default() -> Self {
        Self { load_max: [2.0, 0.95, 0.9, 0.8], places: [1.0, 1.0, 1.0, 0.8] }
    }
}

/// Holds how much this process has to do, 0 to 1; whoever measures it sets it.
#[derive(Debug, Default)]
pub struct Load(AtomicU32);

impl Load {
    /// Says how much there is to do.
    pub fn set(&self, load: f64) {
        // Relaxed: the number stands for itself. The cast saturates.
        self.0.store((load * f64::from(MILLION)) as u32, Ordering::Relaxed);
    }

    /// Returns how much there is to do.
    pub fn get(&self) -> f64 {
        f64::from(self.0.load(Ordering::Relaxed)) / f64::from(MILLION)
    }
}

/// Decides whether a call is taken at this load.
///
/// # Errors
///
/// Returns [`ShedReason::Load`] if it is not.
pub fn admit(params: &Params, load: f64, priority: Priority) -> Result<(), ShedReason> {
    // The least important threshold that is at least as important counts: numbers that rise by
    // mistake never shed a call before a less important one.
    let least = &params.load_max[priority.index()..];
    let load_max = least.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if load >= load_max && load_max <= 1.0 { Err(ShedReason::Load) } else { Ok(()) }
}

/// Returns how many of `places` a call of this priority may take; at least one.
pub fn places(params: Option<&Params>, places: u32, priority: Priority) -> u32 {
    let Some(params) = params else { return places };
    let share = params.places[priority.index()];
    if share >= 1.0 { places } else { ((f64::from(places) * share) as u32).max(1) }
}

const MILLION: u32 = 1_000_000;
