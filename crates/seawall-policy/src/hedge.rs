//! When a second attempt is sent beside one that has not answered yet.
//!
//! Does not know: whether sending a request twice does harm; its caller asks. Invariant: over any
//! span no more calls are hedged than their share and ten more.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::sketch::Sketch;
use crate::sync::AtomicU64;
use crate::timeout;

/// Holds the numbers of hedging.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// After how long the next attempt is sent.
    pub after: After,
    /// But never earlier than this, unless it is to be sent at once.
    pub min: Duration,
    /// How many attempts are sent beside the first; 1 to 3.
    pub extra_max: u32,
    /// The share of calls that may be hedged, above 0 to 1; a call pays once, however many attempts
    /// it sends. Each attempt is paid for out of the retry budget besides.
    pub ratio_max: f64,
}

/// Says after how long a hedged attempt is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// Together with the first.
    AtOnce,
    /// After this long.
    Fixed(Duration),
    /// Once the attempt takes longer than this share of attempts do (0.95), as measured; after a
    /// tenth of an attempt's time limit while too little is known.
    Quantile(f64),
}

impl Default for Params {
    /// One more, once the first is slower than 95 of 100 and than 20 ms; for a tenth of calls.
    fn default() -> Self {
        Self {
            after: After::Quantile(0.95),
            min: Duration::from_millis(20),
            extra_max: 1,
            ratio_max: 0.1,
        }
    }
}

/// Knows when a hedged attempt is due; atomics, shared by reference.
#[derive(Debug)]
pub struct Hedge {
    epoch: Instant,
    sketch: Sketch,
    /// How many calls may still be hedged, in thousandths.
    allowed_milli: AtomicU64,
    /// The quantile as it was last reckoned, in nanoseconds; zero for none.
    known: AtomicU64,
    /// When it is to be reckoned anew, and for which share, so that new numbers count at once.
    stale_at: AtomicU64,
    share: AtomicU64,
}

impl Hedge {
    /// Makes one that knows nothing yet; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            sketch: Sketch::new(epoch),
            // A new one is as generous as one that has had good times.
            allowed_milli: AtomicU64::new(SAVED_MILLI_MAX),
            known: AtomicU64::new(0),
            stale_at: AtomicU64::new(0),
            share: AtomicU64::new(0),
        }
    }

    /// Saves one call's share: to be called once a call.
    pub fn deposit(&self, params: &Params) {
        let share = (params.ratio_max.clamp(0.0, 1.0) * 1000.0).round() as u64;
        // Never more than a few: good times pay for a hiccup, not for a storm.
        let _ = self.allowed_milli.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| {
            (saved < SAVED_MILLI_MAX).then(|| (saved + share).min(SAVED_MILLI_MAX))
        });
    }

    /// Pays for one call that is hedged, before its first hedged attempt; `false` means that it must
    /// not be. The retry budget is asked besides.
    #[must_use]
    pub fn afford(&self) -> bool {
        self.allowed_milli
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(1000))
            .is_ok()
    }

    /// Gives back what was paid for a call that was not hedged after all.
    pub fn refund(&self) {
        let _ = self.allowed_milli.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| {
            Some((saved + 1000).min(SAVED_MILLI_MAX))
        });
    }

    /// Takes note of how long an attempt took that was answered.
    pub fn record(&self, took: Duration, now: Instant) {
        self.sketch.record(took, now);
    }

    /// Returns how long after an attempt the next one is sent beside it, where an attempt may take
    /// so long; `None` while too little is known and attempts have no limit.
    pub fn after(&self, params: &Params, attempt: Duration, now: Instant) -> Option<Duration> {
        match params.after {
            After::AtOnce => Some(Duration::ZERO),
            After::Fixed(after) => Some(after.max(params.min)),
            After::Quantile(share) => {
                let unknown = || (attempt != timeout::NONE).then(|| attempt / UNKNOWN_SHARE);
                Some(self.quantile(share, now).or_else(unknown)?.max(params.min))
            }
        }
    }

    /// Returns the measured quantile; reckoned once a second, since it looks through all bins.
    fn quantile(&self, share: f64, now: Instant) -> Option<Duration> {
        let nanos = crate::nanos(self.epoch, now);
        let stale_at = self.stale_at.load(Ordering::Relaxed);
        if nanos >= stale_at || self.share.load(Ordering::Relaxed) != share.to_bits() {
            self.stale_at.store(nanos.saturating_add(crate::saturated(FRESH)), Ordering::Relaxed);
            self.share.store(share.to_bits(), Ordering::Relaxed);
            let known = self.sketch.quantile(share, now).map_or(0, crate::saturated);
            self.known.store(known, Ordering::Relaxed);
        }
        let known = self.known.load(Ordering::Relaxed);
        (known != 0).then(|| Duration::from_nanos(known))
    }
}

/// An upstream about which nothing is known is slow after this part of an attempt's time limit.
const UNKNOWN_SHARE: u32 = 10;
/// Ten calls' worth.
const SAVED_MILLI_MAX: u64 = 10_000;
const FRESH: Duration = Duration::from_secs(1);
