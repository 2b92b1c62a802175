//! The atoms that are counted in: a counter by a closed list, a histogram, a table by name.
//!
//! Invariant: counting takes no lock, hashes nothing and allocates nothing. Every number is
//! relaxed: metrics say how much, never in which order.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Counts one thing.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_many(&self, many: u64) {
        self.0.fetch_add(many, Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts by the place of a value in its closed list.
#[derive(Debug)]
pub(crate) struct Counts<const N: usize>([Count; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(array::from_fn(|_| Count::default()))
    }
}

impl<const N: usize> Counts<N> {
    /// Counts at a place; a place outside the list is a value added to the list but not here, and
    /// is left out rather than panicking on the path of a call.
    pub(crate) fn add(&self, place: usize) {
        if let Some(count) = self.0.get(place) {
            count.add();
        }
    }

    pub(crate) fn add_many(&self, place: usize, many: u64) {
        if let Some(count) = self.0.get(place) {
            count.add_many(many);
        }
    }

    pub(crate) fn value(&self, place: usize) -> u64 {
        self.0.get(place).map_or(0, Count::value)
    }

    pub(crate) fn values(&self) -> [u64; N] {
        array::from_fn(|place| self.0[place].value())
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(Count::value).sum()
    }
}

/// The upper ends of a histogram's buckets in microseconds; one more bucket takes the rest.
pub(crate) const BOUNDS_MICROS: [u64; 14] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// How many buckets a histogram has.
pub(crate) const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// Counts durations by size.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: Counts<BUCKETS>,
    micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // "le" includes its end.
        let place = BOUNDS_MICROS.iter().position(|bound| micros <= *bound);
        self.buckets.add(place.unwrap_or(BOUNDS_MICROS.len()));
        self.micros.fetch_add(micros, Relaxed);
    }

    pub(crate) fn buckets(&self) -> [u64; BUCKETS] {
        self.buckets.values()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.micros.load(Relaxed) as f64 / 1e6
    }
}

/// Estimates the duration below which the share `quantile` of the counted ones lies, evenly spread
/// within its bucket; `None` if none was counted.
pub(crate) fn quantile(buckets: &[u64; BUCKETS], quantile: f64) -> Option<Duration> {
    let all: u64 = buckets.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = quantile * all as f64;
    let mut below = 0_u64;
    for (place, count) in buckets.iter().enumerate() {
        if *count > 0 && (below + count) as f64 >= wanted {
            let low = if place == 0 { 0 } else { BOUNDS_MICROS[place - 1] };
            // The last bucket has no upper end: its lower one is all that is known.
            let high = BOUNDS_MICROS.get(place).copied().unwrap_or(low);
            let share = (wanted - below as f64) / *count as f64;
            let micros = low as f64 + (high - low) as f64 * share.clamp(0.0, 1.0);
            return Some(Duration::from_micros(micros as u64));
        }
        below += count;
    }
    None
}

/// Holds one `Cells` per configured name, found by its number; append only and bounded.
///
/// Names past the bound share the last place, called `other`.
#[derive(Debug)]
pub(crate) struct Table<Cells> {
    slots: Box<[OnceLock<Box<Named<Cells>>>]>,
    other: Named<Cells>,
    /// How many slots are taken; held while a name is added, never while counting.
    taken: Mutex<usize>,
}

/// Holds the cells of one name.
#[derive(Debug)]
pub(crate) struct Named<Cells> {
    pub(crate) name: Arc<str>,
    pub(crate) cells: Cells,
}

impl<Cells: Default> Table<Cells> {
    pub(crate) fn new(names_max: u16) -> Self {
        Self {
            slots: (0..names_max).map(|_| OnceLock::new()).collect(),
            other: Named { name: Arc::from("other"), cells: Cells::default() },
            taken: Mutex::new(0),
        }
    }

    /// Returns the number of a name, the same one each time.
    pub(crate) fn number(&self, name: &str) -> u16 {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.slots.iter().map_while(OnceLock::get).position(|slot| &*slot.name == name);
        if let Some(place) = known {
            return u16::try_from(place).unwrap_or(u16::MAX);
        }
        let Some(slot) = self.slots.get(*taken) else { return u16::MAX };
        slot.get_or_init(|| Box::new(Named { name: Arc::from(name), cells: Cells::default() }));
        let number = u16::try_from(*taken).unwrap_or(u16::MAX);
        *taken += 1;
        number
    }

    pub(crate) fn cells(&self, number: u16) -> &Cells {
        &self.named(number).cells
    }

    pub(crate) fn named(&self, number: u16) -> &Named<Cells> {
        match self.slots.get(usize::from(number)).and_then(OnceLock::get) {
            Some(named) => named,
            None => &self.other,
        }
    }

    /// Lists the names with their cells; `other` only if `is_used` says so.
    pub(crate) fn iter(
        &self,
        is_used: impl Fn(&Cells) -> bool,
    ) -> impl Iterator<Item = (u16, &Named<Cells>)> {
        let named = self.slots.iter().map_while(OnceLock::get).map(Box::as_ref);
        let other = is_used(&self.other.cells).then_some((u16::MAX, &self.other));
        (0..).zip(named).chain(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let table: Table<Count> = Table::new(4);
        assert_eq!(table.number("a"), 0);
        assert_eq!(table.number("b"), 1);
        assert_eq!(table.number("a"), 0);
    }

    #[test]
    fn names_past_the_bound_are_counted_as_other() {
        let table: Table<Count> = Table::new(2);
        table.number("a");
        table.number("b");
        let third = table.number("c");
        table.cells(third).add();
        assert_eq!(table.number("d"), third);
        let names: Vec<_> =
            table.iter(|count| count.value() > 0).map(|(_, named)| &*named.name).collect();
        assert_eq!(names, ["a", "b", "other"]);
    }

    #[test]
    fn a_number_that_was_never_given_is_other() {
        let table: Table<Count> = Table::new(2);
        table.cells(1).add();
        assert_eq!(table.other.cells.value(), 1);
    }

    #[test]
    fn a_duration_on_a_bound_belongs_below_it() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(1));
        histogram.observe(Duration::from_micros(1001));
        histogram.observe(Duration::from_secs(31));
        let buckets = histogram.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[BUCKETS - 1]), (1, 1, 1));
        assert!((histogram.seconds() - 31.002_001).abs() < 1e-9);
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let histogram = Histogram::default();
        (0..99).for_each(|_| histogram.observe(Duration::from_millis(4)));
        histogram.observe(Duration::from_secs(2));
        let buckets = histogram.buckets();
        let median = quantile(&buckets, 0.5).expect("there are durations");
        assert!((Duration::from_micros(2_500)..=Duration::from_millis(5)).contains(&median));
        let slowest = quantile(&buckets, 0.999).expect("there are durations");
        assert!((Duration::from_secs(1)..=Duration::from_millis(2_500)).contains(&slowest));
        assert_eq!(quantile(&[0; BUCKETS], 0.5), None);
    }
}
