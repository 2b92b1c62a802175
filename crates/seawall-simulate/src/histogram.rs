//! Counts durations so that quantiles can be told: bins that are 3 % wide.
//!
//! Does not know: what is measured. Invariant: a quantile is never more than one bin above the
//! truth, and never below it.

/// Counts durations in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    bins: Box<[u32; BINS]>,
    count: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, nanos: u64) {
        self.bins[bin(nanos)] += 1;
        self.count += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (bin, more) in self.bins.iter_mut().zip(other.bins.iter()) {
            *bin += more;
        }
        self.count += other.count;
    }

    /// Returns the upper end of the bin below which a share `q` lies, in milliseconds; `None` if
    /// nothing was counted.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let wanted = (self.count as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        let index = self.bins.iter().position(|&count| {
            seen += u64::from(count);
            seen >= wanted
        })?;
        Some(upper(index) as f64 / 1e6)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: Box::new([0; BINS]), count: 0 }
    }
}

/// Five bits after the highest one: 32 bins for each doubling.
fn bin(nanos: u64) -> usize {
    let nanos = nanos.max(1 << FINE);
    let doubling = 63 - nanos.leading_zeros();
    let fine = (nanos >> (doubling - FINE)) as usize & FINE_MASK;
    (((doubling - FINE) as usize) << FINE | fine).min(BINS - 1)
}

fn upper(index: usize) -> u64 {
    let (doubling, fine) = ((index >> FINE) as u32, (index & FINE_MASK) as u64);
    ((1 << FINE | fine) + 1) << doubling
}

const FINE: u32 = 5;
const FINE_MASK: usize = (1 << FINE) - 1;
/// Up to 2^45 ns, which is ten hours.
const BINS: usize = 40 << FINE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_bin() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.record(ms * 1_000_000));
        for (q, truth) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let told = histogram.quantile(q).unwrap();
            assert!((truth..truth * 1.04).contains(&told), "{q}: {told}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn any_duration_has_a_bin() {
        let mut histogram = Histogram::default();
        [0, 1, 31, 32, u64::MAX].into_iter().for_each(|nanos| histogram.record(nanos));
        assert!(histogram.quantile(1.0).is_some());
    }
}
