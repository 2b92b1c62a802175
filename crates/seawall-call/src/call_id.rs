//! How the ids of calls are drawn.
//!
//! Does not know what they are for. Invariant: no id is drawn twice in a process. Each thread has a
//! range of its own, so that cores that make calls at the same time share nothing: a counter for
//! all would cost each call the walk of a cache line between them.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::CallId;

thread_local! {
    /// The next id of this thread; at the beginning of a range it has none.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Draws an id that no other call has.
#[inline]
pub fn draw_call_id() -> CallId {
    let next = NEXT.get();
    let id = if next.is_multiple_of(RANGE) { new_range() } else { next };
    NEXT.set(id + 1);
    // No range begins with zero.
    CallId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
}

#[cold]
fn new_range() -> u64 {
    static RANGES: AtomicU64 = AtomicU64::new(1);
    // A process that makes a million calls a second gets through them in half a million years.
    RANGES.fetch_add(1, Ordering::Relaxed).wrapping_mul(RANGE)
}

/// So many ids a thread takes at once: it comes back seldom, and a thread that makes one call and
/// ends wastes nothing that anybody misses.
const RANGE: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_is_drawn_twice_on_any_thread() {
        let draw = || -> Vec<CallId> { (0..RANGE * 2 + 7).map(|_| draw_call_id()).collect() };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let drawn = threads.into_iter().map(|thread| thread.join().expect("it only draws"));
        let drawn: Vec<Vec<CallId>> = drawn.collect();
        let all: HashSet<&CallId> = drawn.iter().flatten().collect();
        assert_eq!(all.len() as u64, 4 * (RANGE * 2 + 7));
    }
}
