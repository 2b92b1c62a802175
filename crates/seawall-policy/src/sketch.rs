//! How long attempts have taken lately, as quantiles.
//!
//! Does not know: what for. Invariant: what is said rests on the last half minute to minute, and on
//! at least [`SAMPLES_MIN`] durations.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::bins::{Bins, quantile};
use crate::sync::AtomicU64;

/// Remembers how long attempts took; atomics, shared by reference.
#[derive(Debug)]
pub struct Sketch {
    epoch: Instant,
    /// The half minute in which the current half was begun.
    turn: AtomicU64,
    halves: [Bins; 2],
}

/// How many durations must be known before anything is said.
pub const SAMPLES_MIN: u64 = 20;
const HALF: Duration = Duration::from_secs(30);

impl Sketch {
    /// Makes a sketch that knows nothing; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self { epoch, turn: AtomicU64::new(0), halves: Default::default() }
    }

    /// Takes note of one duration.
    pub fn record(&self, took: Duration, now: Instant) {
        self.halves[self.turn(now)].add(took);
    }

    /// Returns the duration below which a share `q` (0 to 1) lies; `None` while too little is
    /// known.
    pub fn quantile(&self, q: f64, now: Instant) -> Option<Duration> {
        self.turn(now);
        let [one, other] = &self.halves;
        quantile(&[one, other], q, SAMPLES_MIN)
    }

    /// Returns which half is current, and empties what is too old.
    fn turn(&self, now: Instant) -> usize {
        let turn = crate::nanos(self.epoch, now) / crate::saturated(HALF);
        let seen = self.turn.load(Ordering::Relaxed);
        if turn > seen
            && self.turn.compare_exchange(seen, turn, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.halves[(turn % 2) as usize].clear();
            if turn - seen > 1 {
                self.halves[((turn + 1) % 2) as usize].clear();
            }
        }
        // A thread that was held up counts into the present.
        (turn.max(seen) % 2) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_needs_some_durations() {
        let epoch = Instant::now();
        let sketch = Sketch::new(epoch);
        for _ in 1..SAMPLES_MIN {
            sketch.record(Duration::from_millis(5), epoch);
        }
        assert_eq!(sketch.quantile(0.5, epoch), None);
        sketch.record(Duration::from_millis(5), epoch);
        assert!(sketch.quantile(0.5, epoch).is_some());
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let epoch = Instant::now();
        let sketch = Sketch::new(epoch);
        let fill = |millis, now| {
            for _ in 0..100 {
                sketch.record(Duration::from_millis(millis), now);
            }
        };
        fill(500, epoch);
        let later = epoch + Duration::from_secs(45);
        fill(5, later);
        let p99 = sketch.quantile(0.99, later).expect("enough is known");
        assert!(p99 > Duration::from_millis(400), "{p99:?}");
        let latest = epoch + Duration::from_secs(61);
        let p99 = sketch.quantile(0.99, latest).expect("the newer half is known");
        assert!(p99 < Duration::from_millis(6), "{p99:?}");
        assert_eq!(sketch.quantile(0.99, epoch + Duration::from_secs(200)), None);
    }
}
