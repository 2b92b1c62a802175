//! Counts attempts and failures over the last while: ten buckets that take turns.
//!
//! Does not know: what a failure is, or what follows from many. Invariant: a count never stays
//! longer than the window and never leaves before nine tenths of it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::sync::AtomicU64;

/// Counts attempts and failures over a window; atomics, shared by reference.
///
/// A bucket is one word: `turn 24 | failures 20 | total 20`. Above a million attempts a bucket
/// both counts are halved, which keeps their ratio.
// A cache line of its own: these words are written on every attempt, while what stands beside
// them in a breaker is only read.
#[derive(Debug)]
#[repr(align(64))]
pub struct Window {
    epoch: Instant,
    width: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// The counts of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// How many attempts failed.
    pub failures: u64,
    /// How many attempts ended.
    pub total: u64,
}

impl Window {
    /// Makes an empty window; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self { epoch, width: AtomicU64::new(0), buckets: Default::default() }
    }

    /// Counts one attempt in a window of the given length.
    #[inline]
    pub fn record(&self, window: Duration, now: Instant, failed: bool) {
        self.change(window, now, |bucket| bucket.counted(failed));
    }

    /// Counts a failure of an attempt that was counted before.
    pub(crate) fn mark(&self, window: Duration, now: Instant) {
        self.change(window, now, |bucket| Bucket {
            failures: (bucket.failures + 1).min(COUNT_MAX),
            ..bucket
        });
    }

    fn change(&self, window: Duration, now: Instant, change: impl Fn(Bucket) -> Bucket) {
        let turn = self.turn(window, now);
        let bucket = &self.buckets[(turn % BUCKETS as u64) as usize];
        // Relaxed: counts stand for themselves; nothing is published through them.
        let mut word = bucket.load(Ordering::Relaxed);
        while let Err(seen) = bucket.compare_exchange_weak(
            word,
            change(Bucket::unpack(word).in_turn(turn)).pack(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            word = seen;
        }
    }

    /// Returns what was counted in the window that ends at `now`.
    pub fn counts(&self, window: Duration, now: Instant) -> WindowCounts {
        let turn = self.turn(window, now);
        let mut counts = WindowCounts::default();
        for past in 0..BUCKETS as u64 {
            let Some(turn) = turn.checked_sub(past) else { break };
            let word = self.buckets[(turn % BUCKETS as u64) as usize].load(Ordering::Relaxed);
            let bucket = Bucket::unpack(word);
            if bucket.turn == turn & TURN_MASK {
                counts.failures += bucket.failures;
                counts.total += bucket.total;
            }
        }
        counts
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }

    /// Returns whose turn it is; forgets everything when the window has a new length, since the
    /// turns of the old one mean other times.
    fn turn(&self, window: Duration, now: Instant) -> u64 {
        let width = (crate::saturated(window) / BUCKETS as u64).max(1);
        if self.width.load(Ordering::Relaxed) != width
            && self.width.swap(width, Ordering::Relaxed) != width
        {
            self.clear();
        }
        crate::nanos(self.epoch, now) / width
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    turn: u64,
    failures: u64,
    total: u64,
}

impl Bucket {
    fn unpack(word: u64) -> Self {
        Self {
            turn: word >> (2 * COUNT_BITS),
            failures: (word >> COUNT_BITS) & COUNT_MAX,
            total: word & COUNT_MAX,
        }
    }

    fn pack(self) -> u64 {
        self.turn << (2 * COUNT_BITS) | self.failures << COUNT_BITS | self.total
    }

    /// Empties the bucket if its turn is over. A bucket whose turn is a little *later* is kept: a
    /// thread that was held up since it read the clock counts into the present.
    fn in_turn(self, turn: u64) -> Self {
        let turn = turn & TURN_MASK;
        let ahead = turn.wrapping_sub(self.turn) & TURN_MASK;
        // An empty one was never written, and its turn means nothing.
        if ahead == 0 || (self.total > 0 && ahead > TURN_MASK - LATE_MAX) {
            return self;
        }
        Self { turn, failures: 0, total: 0 }
    }

    fn counted(mut self, failed: bool) -> Self {
        if self.total == COUNT_MAX {
            self.failures /= 2;
            self.total /= 2;
        }
        self.failures += u64::from(failed);
        self.total += 1;
        self
    }
}

const BUCKETS: usize = 10;
/// How many turns a thread may be late; small, so that a long silence is not taken for lateness.
const LATE_MAX: u64 = 1024;
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const TURN_MASK: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;
