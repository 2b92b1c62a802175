//! The clock: tokio's, so that a paused test and a running server read the same hands.

use std::time::Instant;

/// Reads the clock; about 20 ns, so a call that is answered at once reads it twice.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
