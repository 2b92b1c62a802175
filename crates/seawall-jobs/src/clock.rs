//! The time of day, in milliseconds since 1970: the system's, or one that a test sets.
//!
//! Does not know: what is timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells a store the time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's; of a database that several machines share, the database's.
    #[default]
    System,
    /// One that stands still until it is set.
    ByHand(Arc<AtomicI64>),
}

impl Clock {
    /// Makes one that stands still at this moment.
    pub fn by_hand(now_ms: i64) -> Self {
        Self::ByHand(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Lets time pass; the system's clock takes no notice.
    pub fn pass(&self, time: Duration) {
        if let Self::ByHand(now) = self {
            now.fetch_add(millis(time), Relaxed);
        }
    }

    /// Returns the time.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
            Self::ByHand(now) => now.load(Relaxed),
        }
    }

    /// Returns the time if it was set by hand; nothing if the database is to say.
    #[cfg(feature = "postgres")]
    pub(crate) fn set_ms(&self) -> Option<i64> {
        match self {
            Self::System => None,
            Self::ByHand(now) => Some(now.load(Relaxed)),
        }
    }
}

/// Returns a time in milliseconds; the longest there is, if it is longer.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}
