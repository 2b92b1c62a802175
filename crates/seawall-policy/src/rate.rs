//! How many calls start in a second: a token bucket (GCRA).

/// Holds the numbers of a rate limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Calls a second, above 0.
    pub per_second: f64,
    /// How many may start at once after a quiet time; at least 1.
    pub burst: u32,
}
