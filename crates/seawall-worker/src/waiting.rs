//! Requests that are under way, and lines that wait until they may be sent again: how many, why, and
//! for how long.
//!
//! Does not know: policies, HTTP. A line that waits holds its place among the calls at once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The lines of a run that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lines: AtomicUsize,
    /// Why the last of them waits.
    why: Mutex<String>,
}

/// One line that waits, until it is dropped.
pub(crate) struct Waits<'a>(&'a Waiting);

impl Waiting {
    /// Counts a line that waits.
    pub(crate) fn begin(&self, why: &str) -> Waits<'_> {
        self.lines.fetch_add(1, Relaxed);
        let mut last = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != why {
            why.clone_into(&mut last);
        }
        Waits(self)
    }

    /// Returns how many lines wait, and why the last of them does; nothing if none waits.
    pub(crate) fn now(&self) -> Option<(usize, String)> {
        let lines = self.lines.load(Relaxed);
        let why = || self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (lines > 0).then(|| (lines, why()))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.lines.fetch_sub(1, Relaxed);
    }
}

/// The requests that the upstream has.
#[derive(Debug, Default)]
pub(crate) struct Calls(AtomicUsize);

impl Calls {
    /// Counts a request that is sent.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Counts one that is over.
    pub(crate) fn end(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Returns how many are under way.
    pub(crate) fn now(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Returns how long a line waits that has waited so often: twice as long each time, and not as long
/// as those that began to wait with it.
pub(crate) fn how_long(times: u32, sequence: u64) -> Duration {
    let doubled = SHORTEST.saturating_mul(1 << times.min(8)).min(LONGEST);
    doubled.mul_f64(1.0 - (sequence % 16) as f64 / 32.0)
}

/// Sooner it would only be refused again.
const SHORTEST: Duration = Duration::from_millis(100);
/// An upstream that is back is noticed this soon.
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wait_are_counted_with_their_reason() {
        let waiting = Waiting::default();
        assert_eq!(waiting.now(), None);
        let one = waiting.begin("refused");
        let two = waiting.begin("429");
        assert_eq!(waiting.now(), Some((2, "429".to_owned())));
        drop(one);
        assert_eq!(waiting.now(), Some((1, "429".to_owned())));
        drop(two);
        assert_eq!(waiting.now(), None);
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits = [0, 1, 2, 5, 6, 1000].map(|times| how_long(times, 0).as_millis());
        assert_eq!(waits, [100, 200, 400, 3200, 5000, 5000]);
        assert!(how_long(6, 15) >= LONGEST / 2);
    }
}
