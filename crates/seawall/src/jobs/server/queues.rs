//! The queues of the store.
//!
//! Does not know: who works them off.

/// The queue of all jobs of settings files.
pub(super) const LINES: &str = "lines";
/// The queue of what is to be told.
pub(super) const ENDS: &str = "ends";
