//! How long a job that failed waits until it is tried again.
//!
//! Does not know: stores, clocks.

use std::time::Duration;

/// Returns how long a job waits after so many attempts: a second after the first, twice that after
/// each further one, ten minutes at most; `chance` (0 to 1) takes up to half of it away, so that
/// jobs that failed together do not come back together.
pub fn retry_after(attempts: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_minutes_and_chance_takes_half_at_most() {
        let seconds = [1, 2, 3, 10, 11, 1000].map(|n| retry_after(n, 0.0).as_secs());
        assert_eq!(seconds, [1, 2, 4, 512, 600, 600]);
        assert_eq!(retry_after(3, 1.0), Duration::from_secs(2));
        assert_eq!(retry_after(0, 0.5), Duration::from_millis(750));
    }
}
