//! Which calls are refused when this process has too much to do.
//!
//! Does not know: how load is measured. Invariant: a call is never shed while one of lower
//! priority would be admitted.

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
