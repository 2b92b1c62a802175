//! The cache: answers that are kept, bounded by their number and by their bytes.
//!
//! Does not know: calls, or whether an answer may be used; that is
//! [`seawall_policy::cache`](seawall_policy::cache)'s to say. Invariant: there are never more
//! answers, and never more bytes, than the numbers allow. What makes room for a new answer is
//! what was asked for least (S3-FIFO), whether it is fresh or not.

use std::fmt;
use std::hash::Hash;
use std::time::Instant;

use quick_cache::sync::Cache as Table;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use seawall_policy::cache::{Freshness, Params};

/// A cache of answers of type `V` under keys of type `K`.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
///
/// use seawall_call::{Cache, CacheEntry};
/// use seawall_policy::cache::{Own, Params};
///
/// let cache = Cache::new(&Params::default());
/// let times = Params::default().times(&Own::default(), Instant::now());
/// cache.put("oslo", CacheEntry { value: "rain", times, bytes: 4 });
/// assert_eq!(cache.get("oslo").map(|entry| entry.value), Some("rain"));
/// ```
pub struct Cache<K, V> {
    kept: Table<K, CacheEntry<V>, Weight, DefaultHashBuilder>,
    answer_bytes_max: u64,
    size: (u32, u64, u64),
}

/// One answer, and until when it may be used.
#[derive(Clone, Debug)]
pub struct CacheEntry<V> {
    /// The answer.
    pub value: V,
    /// Until when it may be used.
    pub times: Freshness,
    /// The bytes that it takes.
    pub bytes: u64,
}

/// Weighs an answer: its bytes, and no less than its share of the number of answers.
#[derive(Clone)]
struct Weight {
    least: u64,
}

impl<K, V> Weighter<K, CacheEntry<V>> for Weight {
    fn weight(&self, _key: &K, entry: &CacheEntry<V>) -> u64 {
        // That many of the lightest fill it: so one bound keeps both.
        entry.bytes.saturating_add(OVERHEAD_BYTES).max(self.least)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// Makes an empty cache.
    pub fn new(params: &Params) -> Self {
        let (entries, bytes) = (u64::from(params.entries_max.max(1)), params.bytes_max.max(1));
        // Each part has its own bound, so a part must hold several of the largest; the parts are
        // a power of two in number, and never more than all together may take.
        let parts = (bytes / params.answer_bytes_max.saturating_mul(8).max(1)).clamp(1, PARTS_MAX);
        let parts = 1_u64 << parts.ilog2();
        let bytes = (bytes / parts).max(1) * parts;
        let options = OptionsBuilder::new()
            .shards(parts as usize)
            .estimated_items_capacity(entries as usize)
            .weight_capacity(bytes)
            .build();
        let weight = Weight { least: bytes.div_ceil(entries).max(1) };
        let kept = match options {
            Ok(options) => Table::with_options(
                options,
                weight,
                DefaultHashBuilder::default(),
                Default::default(),
            ),
            // Only a word that is missing is refused, and none is.
            Err(_missing) => Table::with_weighter(entries as usize, bytes, weight),
        };
        let answer_bytes_max = params.answer_bytes_max;
        Self { kept, answer_bytes_max, size: size(params) }
    }

    /// Returns whether it was made with the same sizes.
    pub fn has_size_of(&self, params: &Params) -> bool {
        self.size == size(params)
    }

    /// Keeps an answer in place of what was there; one that is too large is not kept, and then
    /// nothing is.
    pub fn put(&self, key: K, entry: CacheEntry<V>) {
        if entry.bytes > self.answer_bytes_max {
            self.kept.remove(&key);
        } else {
            self.kept.insert(key, entry);
        }
    }

    /// Returns what is kept under a key, whatever its age.
    pub fn get<Q>(&self, key: &Q) -> Option<CacheEntry<V>>
    where
        Q: Hash + quick_cache::Equivalent<K> + ?Sized,
    {
        self.kept.get(key)
    }

    /// Takes an answer out; returns whether there was one.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + quick_cache::Equivalent<K> + ?Sized,
    {
        self.kept.remove(key).is_some()
    }

    /// Takes everything out that may not be used any more.
    pub fn expire(&self, now: Instant) {
        self.kept.retain(|_, entry| entry.times.may_stand_in(now));
    }

    /// Takes everything out.
    pub fn clear(&self) {
        self.kept.clear();
    }

    /// Returns how many answers are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Returns whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns how many bytes the answers take, by their own word and with what keeping costs.
    pub fn bytes(&self) -> u64 {
        self.kept.iter().map(|(_, entry)| entry.bytes.saturating_add(OVERHEAD_BYTES)).sum()
    }
}

fn size(params: &Params) -> (u32, u64, u64) {
    (params.entries_max, params.bytes_max, params.answer_bytes_max)
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("size", &self.size).finish_non_exhaustive()
    }
}

/// What keeping an answer costs besides the answer: its place in the table, its times.
const OVERHEAD_BYTES: u64 = 160;

/// So many threads can put something in at once.
const PARTS_MAX: u64 = 16;
