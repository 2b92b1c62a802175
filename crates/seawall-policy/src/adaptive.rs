//! How many attempts an upstream can really bear at once, learned from how long it takes.
//!
//! Does not know: who waits for a place. Invariant: the limit is never below its minimum, and never
//! cut for a latency that cutting it does not lower.

/// Holds the numbers of an adaptive limit; its maximum is the bulkhead's `in_flight_max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The fewest places; at least 1.
    pub min: u32,
    /// How many there are before anything is known.
    pub initial: u32,
}

impl Default for Params {
    /// At least 4, 50 at first.
    fn default() -> Self {
        Self { min: 4, initial: 50 }
    }
}
