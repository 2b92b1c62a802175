//! How many retries an upstream may see: a share of its calls, and a floor for quiet times.

/// Holds the numbers of a retry budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Retries per call, 0 to 1.
    pub ratio: f64,
    /// Retries a second that are always allowed.
    pub floor_per_second: f64,
}

impl Default for Params {
    /// 20 % and 10 a second (Finagle).
    fn default() -> Self {
        Self { ratio: 0.2, floor_per_second: 10.0 }
    }
}
