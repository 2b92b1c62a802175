//! How often a line is said that something in a loop, or a stranger, can bring about.
//!
//! Does not know: what the line says. Invariant: what is left out is counted, and told with the next
//! line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lets so many lines through each second, and counts those left out.
pub(crate) struct OncePerSecond {
    lines_max: u64,
    /// The second (upper 48 bits) and how many lines were said in it (lower 16).
    state: AtomicU64,
    left_out: AtomicU64,
}

impl OncePerSecond {
    pub(crate) const fn new(lines_max: u64) -> Self {
        Self { lines_max, state: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    pub(crate) fn say(&self, line: impl FnOnce(u64)) {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        if self.admits(second) {
            line(self.left_out.swap(0, Relaxed));
        } else {
            self.left_out.fetch_add(1, Relaxed);
        }
    }

    fn admits(&self, second: u64) -> bool {
        let next = |state: u64| match (state >> 16 == second, state & 0xffff) {
            (false, _) => Some((second << 16) | 1),
            (true, said) if said < self.lines_max => Some(state + 1),
            (true, _) => None,
        };
        self.state.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_a_loop_is_said_once_a_second_with_the_number_left_out() {
        let limit = OncePerSecond::new(1);
        assert!(limit.admits(100));
        assert!(!limit.admits(100));
        assert!(limit.admits(101));
        let said = std::cell::Cell::new(0);
        limit.left_out.store(41, Relaxed);
        OncePerSecond { state: AtomicU64::new(0), ..limit }.say(|left_out| said.set(left_out));
        assert_eq!(said.get(), 41);
    }
}
