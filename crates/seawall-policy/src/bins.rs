//! Counts durations by size: bins of the same relative width, from a microsecond to 17 minutes.
//!
//! Does not know: what was measured, or when. Invariant: a duration stands in the bin whose ends
//! are less than one part in 32 apart, so a quantile is wrong by no more than that.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sync::AtomicU32;

/// Counts durations; atomics, shared by reference.
#[derive(Debug)]
pub(crate) struct Bins(Box<[AtomicU32]>);

impl Default for Bins {
    fn default() -> Self {
        Self((0..LENGTH).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Bins {
    pub(crate) fn add(&self, duration: Duration) {
        // Relaxed: counts stand for themselves; nothing is published through them.
        self.0[place(duration)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        for count in &self.0 {
            // Most bins are empty, and a load is cheaper than a store.
            if count.load(Ordering::Relaxed) != 0 {
                count.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Returns the middle of the bin below which a share `q` of all that is in `parts` lies; `None`
/// if there is less than `least`.
pub(crate) fn quantile(parts: &[&Bins], q: f64, least: u64) -> Option<Duration> {
    let count = |place: usize| -> u64 {
        parts.iter().map(|bins| u64::from(bins.0[place].load(Ordering::Relaxed))).sum()
    };
    let total: u64 = (0..LENGTH).map(count).sum();
    if total == 0 || total < least {
        return None;
    }
    let rank = ((total as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
    let mut seen = 0;
    (0..LENGTH)
        .find(|&place| {
            seen += count(place);
            seen >= rank
        })
        .map(middle)
}

/// Returns where a duration stands: its leading bit, and the five bits after it.
fn place(duration: Duration) -> usize {
    let units = (crate::saturated(duration) >> UNIT_BITS).clamp(1, (1 << OCTAVES) - 1);
    let octave = units.ilog2();
    let part = if octave >= PART_BITS {
        (units >> (octave - PART_BITS)) & (PARTS - 1)
    } else {
        (units << (PART_BITS - octave)) & (PARTS - 1)
    };
    (u64::from(octave) * PARTS + part) as usize
}

fn middle(place: usize) -> Duration {
    let (octave, part) = (place as u64 / PARTS, place as u64 % PARTS);
    // In halves of a part, so that the middle is whole.
    let halves = (2 * (PARTS + part) + 1) << octave;
    Duration::from_nanos((halves << UNIT_BITS) >> (PART_BITS + 1))
}

/// The unit is 1024 ns.
const UNIT_BITS: u32 = 10;
const PART_BITS: u32 = 5;
const PARTS: u64 = 1 << PART_BITS;
const OCTAVES: u32 = 30;
const LENGTH: usize = OCTAVES as usize * PARTS as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_wrong_by_less_than_one_part_in_32() {
        for micros in [40_u64, 77, 1_000, 20_000, 33_333, 999_999, 60_000_000] {
            let bins = Bins::default();
            let duration = Duration::from_micros(micros);
            bins.add(duration);
            let said = quantile(&[&bins], 0.5, 1).expect("there is one");
            let off = said.as_secs_f64() / duration.as_secs_f64() - 1.0;
            assert!(off.abs() < 1.0 / 32.0, "{duration:?} is said to be {said:?}");
        }
    }

    #[test]
    fn a_duration_is_said_to_be_the_middle_of_its_bin() {
        for octave in PART_BITS..OCTAVES {
            for part in 0..PARTS {
                // In units: the bin begins here, and is so wide.
                let (begin, width) = ((PARTS + part) << (octave - PART_BITS), 1 << octave);
                let nanos = |halves: u64| (halves << UNIT_BITS) / 2;
                let middle = nanos(2 * begin + (width >> PART_BITS));
                for units in [begin, begin + (width >> PART_BITS) - 1] {
                    let duration = Duration::from_nanos(units << UNIT_BITS);
                    let said = self::middle(place(duration));
                    assert_eq!(said, Duration::from_nanos(middle), "{duration:?}");
                }
            }
        }
    }

    #[test]
    fn short_durations_have_bins_of_their_own() {
        let places: Vec<usize> =
            (1..32).map(|units| place(Duration::from_nanos(units << UNIT_BITS))).collect();
        assert!(places.is_sorted_by(|one, other| one < other), "{places:?}");
    }

    #[test]
    fn nothing_is_left_in_bins_that_were_cleared() {
        let bins = Bins::default();
        bins.add(Duration::from_millis(5));
        bins.clear();
        assert_eq!(quantile(&[&bins], 0.5, 1), None);
    }

    #[test]
    fn the_shortest_and_the_longest_have_a_place() {
        let bins = Bins::default();
        bins.add(Duration::ZERO);
        bins.add(Duration::MAX);
        assert!(quantile(&[&bins], 0.5, 2).is_some() && quantile(&[&bins], 0.5, 3).is_none());
        assert!(quantile(&[&bins], 1.0, 1) > quantile(&[&bins], 0.1, 1));
    }
}
