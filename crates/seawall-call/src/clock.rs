//! The clock: tokio's, so that a paused test and a running server read the same hands.

use std::time::Instant;

/// Reads the clock that policies go by: tokio's, which a test may pause. Deadlines, and what is
/// said by hand until an instant, are reckoned from here, not from `Instant::now`.
// About 20 ns, so a call that is answered at once reads it twice.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
