//! Counting calls in windows: one that begins anew, and one that slides in ten parts.
//!
//! Does not know: what a call is. Windows of different kinds and lengths are counted apart, so that
//! policies that share the count of an upstream do not empty each other's. Invariant: the sliding count holds every call that is younger
//! than the window, and some that are up to a tenth of it older.

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// Counts calls in a window.
#[derive(Debug, Default)]
pub(super) struct Windows(Mutex<Vec<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    /// The length that the turns are reckoned by.
    length: u64,
    is_sliding: bool,
    /// The newest part that was counted in.
    turn: u64,
    /// The fixed window uses the first alone.
    counts: [u32; PARTS as usize + 1],
}

/// A sliding window is counted in so many parts, and one more that is half gone.
const PARTS: u64 = 10;

impl Windows {
    /// Counts a call, or returns after how many nanoseconds one may start.
    pub(super) fn take_fixed(&self, length: u64, limit: u32, now: u64) -> Result<(), u64> {
        let mut windows = self.lock();
        let parts = parts(&mut windows, length, false);
        let left = parts.turn_fixed(now);
        if parts.counts[0] >= limit {
            return Err(left);
        }
        parts.counts[0] += 1;
        Ok(())
    }

    /// Returns how many were counted, and when the window is over.
    pub(super) fn used_fixed(&self, length: u64, now: u64) -> (u32, u64) {
        let mut windows = self.lock();
        let parts = parts(&mut windows, length, false);
        let left = parts.turn_fixed(now);
        (parts.counts[0], left)
    }

    /// Counts a call, or returns after how many nanoseconds one may start.
    pub(super) fn take_sliding(&self, length: u64, limit: u32, now: u64) -> Result<(), u64> {
        let mut windows = self.lock();
        let parts = parts(&mut windows, length, true);
        let width = parts.turn_sliding(now);
        let used = parts.sum();
        if used >= limit {
            return Err(parts.until_below(limit, width, now));
        }
        let place = parts.place(0);
        parts.counts[place] += 1;
        Ok(())
    }

    /// Returns how many were counted, and when none of them counts any more.
    pub(super) fn used_sliding(&self, length: u64, now: u64) -> (u32, u64) {
        let mut windows = self.lock();
        let parts = parts(&mut windows, length, true);
        let width = parts.turn_sliding(now);
        let used = parts.sum();
        (used, if used == 0 { 0 } else { parts.until_below(1, width, now) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Parts>> {
        // Counts are whole after every line under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the count of windows of one kind and length; of too many, the oldest is forgotten.
fn parts(windows: &mut Vec<Parts>, length: u64, is_sliding: bool) -> &mut Parts {
    let length = length.max(1);
    let is_it = |parts: &Parts| parts.length == length && parts.is_sliding == is_sliding;
    let place = windows.iter().position(is_it).unwrap_or_else(|| {
        if windows.len() >= WINDOWS_MAX {
            windows.remove(0);
        }
        windows.push(Parts { length, is_sliding, ..Parts::default() });
        windows.len() - 1
    });
    &mut windows[place]
}

/// So many kinds and lengths are counted apart.
const WINDOWS_MAX: usize = 16;

impl Parts {
    /// Begins a new window if the last is over; returns what is left of it.
    fn turn_fixed(&mut self, now: u64) -> u64 {
        let length = self.length;
        let turn = now / length;
        if turn > self.turn {
            (self.turn, self.counts) = (turn, Default::default());
        }
        (self.turn + 1).saturating_mul(length).saturating_sub(now)
    }

    /// Empties the parts that are over; returns how long a part is.
    fn turn_sliding(&mut self, now: u64) -> u64 {
        let width = (self.length / PARTS).max(1);
        let turn = now / width;
        // A thread that was held up counts into the present.
        for _ in 0..turn.saturating_sub(self.turn).min(PARTS + 1) {
            self.turn += 1;
            let place = self.place(0);
            self.counts[place] = 0;
        }
        self.turn = self.turn.max(turn);
        width
    }

    /// Returns when fewer than `limit` count, if none is added.
    fn until_below(&self, limit: u32, width: u64, now: u64) -> u64 {
        let mut used = self.sum();
        for age in (0..=PARTS).rev() {
            used -= self.counts[self.place(age)];
            if used < limit {
                let over = self.turn.saturating_sub(age).saturating_add(PARTS + 1);
                return over.saturating_mul(width).saturating_sub(now).max(1);
            }
        }
        width
    }

    fn sum(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// Returns where the part stands that is so many turns old.
    fn place(&self, age: u64) -> usize {
        ((self.turn + PARTS + 1 - age) % (PARTS + 1)) as usize
    }
}
