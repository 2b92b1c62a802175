//! What is kept of one upstream's answers, and which calls to it are shared.
//!
//! Does not know what may be kept. Invariant: an answer that was asked for before somebody changed
//! what it is about is never put in after it.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Uri;
use seawall_call::flow::{self, Landing};
use seawall_call::{Cache, CacheEntry, SingleFlight, now};
use seawall_core::Fault;
use seawall_policy::cache;
use seawall_wire::headers as rules;
use seawall_wire::{Fields, Name, name};

use super::stored::StoredResponse;
use crate::{HttpRequest, Reply};

/// Keeps answers of one upstream.
pub struct ResponseCache {
    /// One for each size that is asked for; routes may have policies of their own.
    caches: Mutex<Vec<Arc<Answers>>>,
    pub(super) flights: SharedCalls,
    /// Counts changes, by what they are about.
    changes: Box<[AtomicU64]>,
    /// Until when a key is known to have no answer that can be shared, in milliseconds.
    apart: Box<[AtomicU64]>,
    epoch: Instant,
    hasher: RandomState,
}

/// The calls that are shared.
type SharedCalls = SingleFlight<Key, Landing<Arc<StoredResponse>, Reply, Fault>>;

/// The variants of an answer, the newest first.
type Answers = Cache<Key, Arc<[Arc<StoredResponse>]>>;

/// Says what is asked for: scheme and host as the upstream is told, in every way, path and query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<[u8]>);

impl Key {
    /// Makes the key of a request. Everything that says which site is meant is in it: what the
    /// upstream sees and the key does not is what caches are poisoned with.
    pub(super) fn of(request: &HttpRequest) -> Self {
        Self::at(request, &request.uri)
    }

    /// Makes the key of the same request for another path and query.
    pub(super) fn at(request: &HttpRequest, uri: &Uri) -> Self {
        let mut bytes = Vec::with_capacity(128);
        for name in SITE {
            for value in request.headers.get_all(name) {
                bytes.extend_from_slice(value.as_bytes());
                bytes.push(b',');
            }
            // Stands in no header.
            bytes.push(0);
        }
        // Proxies that are trusted may pass on what their clients say of themselves.
        for parameter in ["proto", "host"] {
            for value in rules::forwarded(&request.headers, parameter) {
                bytes.extend_from_slice(value.as_bytes());
                bytes.push(b',');
            }
            bytes.push(0);
        }
        bytes.extend_from_slice(request.host.as_ref().map_or("", |host| host.as_str()).as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
        Self(bytes.into())
    }

    /// Makes the key of a call that may be shared: with what the answer is known to be chosen by.
    pub(super) fn sharing(&self, known: Option<&StoredResponse>, request: &Fields) -> Self {
        let Some(known) = known else { return self.clone() };
        let mut bytes = self.0.to_vec();
        for name in known.chosen_by() {
            bytes.push(0);
            bytes.extend(seawall_wire::caching::selecting(request, name).unwrap_or_default());
        }
        Self(bytes.into())
    }
}

impl ResponseCache {
    pub(crate) fn new() -> Self {
        Self {
            caches: Mutex::default(),
            flights: SingleFlight::new(flow::FLIGHTS_MAX, flow::UNATTENDED_MAX),
            changes: (0..CHANGES).map(|_| AtomicU64::new(0)).collect(),
            apart: (0..APART).map(|_| AtomicU64::new(0)).collect(),
            epoch: now(),
            hasher: RandomState::new(),
        }
    }

    /// Finds the answer for a request with these headers, whatever its age, and any variant.
    pub(super) fn find(
        &self,
        params: &cache::Params,
        key: &Key,
        request: &Fields,
    ) -> (Option<Arc<StoredResponse>>, Option<Arc<StoredResponse>>) {
        let Some(found) = self.cache(params).get(key) else { return (None, None) };
        let own = found.value.iter().find(|kept| kept.is_for(request)).cloned();
        (own, found.value.first().cloned())
    }

    /// Keeps an answer that was asked for when [`ResponseCache::mark`] gave `mark`.
    pub(super) fn keep(
        &self,
        params: &cache::Params,
        key: &Key,
        mark: u64,
        kept: Arc<StoredResponse>,
    ) {
        let cache = self.cache(params);
        let mut bytes = kept.bytes();
        // One that is too large must not push out what would have stayed.
        if bytes > params.answer_bytes_max || self.mark(key) != mark {
            return;
        }
        let others = cache.get(key).map(|found| found.value).unwrap_or_default();
        let mut variants = vec![kept.clone()];
        for other in others.iter().filter(|other| !kept.is_in_place_of(other)) {
            bytes += other.bytes();
            if bytes > params.answer_bytes_max || variants.len() >= VARIANTS_MAX {
                break;
            }
            variants.push(other.clone());
        }
        let bytes = variants.iter().map(|kept| kept.bytes()).sum::<u64>() + key.0.len() as u64;
        let bytes = bytes.min(params.answer_bytes_max);
        let times = kept.times;
        cache.put(key.clone(), CacheEntry { value: variants.into(), times, bytes });
        // Somebody may have changed it in between.
        if self.mark(key) != mark {
            cache.remove(key);
        }
    }

    /// Returns a number that changes when what the key is about is changed.
    pub(super) fn mark(&self, key: &Key) -> u64 {
        self.changes[self.place(key, CHANGES)].load(Ordering::SeqCst)
    }

    /// Forgets what was kept under a key: it has been changed.
    pub(super) fn change(&self, key: &Key) {
        self.changes[self.place(key, CHANGES)].fetch_add(1, Ordering::SeqCst);
        for cache in self.lock().iter() {
            cache.remove(key);
        }
    }

    /// Notes that answers under this key cannot be shared, so that for a while nobody waits for
    /// another one's.
    pub(super) fn set_apart(&self, key: &Key) {
        let until = (now() - self.epoch + APART_FOR).as_millis() as u64;
        let (place, tag) = self.apart_place(key);
        self.apart[place].store(tag | (until & APART_TIME), Ordering::Relaxed);
    }

    pub(super) fn is_apart(&self, key: &Key) -> bool {
        let (place, tag) = self.apart_place(key);
        let noted = self.apart[place].load(Ordering::Relaxed);
        // Another key may have the place: then this one is not known to be apart.
        let is_ours = noted & !APART_TIME == tag;
        is_ours && ((now() - self.epoch).as_millis() as u64) < noted & APART_TIME
    }

    /// Returns a key's place among those that are apart, and what tells it from others there.
    fn apart_place(&self, key: &Key) -> (usize, u64) {
        let hash = self.hasher.hash_one(key);
        (hash as usize % APART, hash & !APART_TIME)
    }

    fn place(&self, key: &Key, places: usize) -> usize {
        self.hasher.hash_one(key) as usize % places
    }

    fn cache(&self, params: &cache::Params) -> Arc<Answers> {
        let mut caches = self.lock();
        if let Some(cache) = caches.iter().find(|cache| cache.has_size_of(params)) {
            return cache.clone();
        }
        // New settings: the answers are fetched again. The oldest size is the one left over.
        caches.truncate(SIZES_MAX - 1);
        let cache = Arc::new(Cache::new(params));
        caches.insert(0, cache.clone());
        cache
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Answers>>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The headers that tell the upstream which site is meant.
const SITE: [Name<'static>; 6] = [
    name::X_FORWARDED_PROTO,
    name::X_FORWARDED_HOST,
    Name::of("x-forwarded-port"),
    Name::of("x-forwarded-prefix"),
    name::X_ORIGINAL_URL,
    name::X_REWRITE_URL,
];

/// Answers of one upstream in so many sizes of cache are kept at a time.
const SIZES_MAX: usize = 4;

/// So many variants of one answer are kept.
const VARIANTS_MAX: usize = 8;

/// Changes are counted by so many parts of the keys; a change of one forgets what is under way for
/// the others in its part.
const CHANGES: usize = 4096;

/// The bits in which the time stands until which a key is apart, in milliseconds: 34 years of them.
const APART_TIME: u64 = (1 << 40) - 1;
/// As many keys can be known to be apart; of two that share a place, the later one.
const APART: usize = 1024;
const APART_FOR: Duration = Duration::from_secs(10);
