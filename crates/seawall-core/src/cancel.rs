//! Why a call was given up: a dropped future has no reason of its own.

use std::sync::atomic::{AtomicU8, Ordering};

/// Says why a call was given up before it had an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CancelReason {
    /// The caller went away.
    ClientGone = 0,
    /// The server is stopping and its grace is over.
    Shutdown = 1,
    /// Another attempt answered first.
    HedgeLost = 2,
}

impl CancelReason {
    /// Lists every reason; each stands at its own number.
    pub const ALL: [Self; 3] = [Self::ClientGone, Self::Shutdown, Self::HedgeLost];

    /// Returns the word for this reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::Shutdown => "shutdown",
            Self::HedgeLost => "hedge_lost",
        }
    }
}

/// Holds the reason for which the calls of one source would be given up.
///
/// The source (a connection, a job) owns it and writes the reason before it drops its calls;
/// a call that is dropped reads it. Without a word it means [`CancelReason::ClientGone`].
#[derive(Debug, Default)]
pub struct CancelCell(AtomicU8);

impl CancelCell {
    /// Makes a cell with no word in it.
    pub const fn new() -> Self {
        Self(AtomicU8::new(CancelReason::ClientGone as u8))
    }

    /// Writes the reason for which calls are about to be dropped.
    pub fn set(&self, reason: CancelReason) {
        // Relaxed: the drop that reads it comes later on the same task, or through a lock.
        self.0.store(reason as u8, Ordering::Relaxed);
    }

    /// Reads the reason.
    pub fn reason(&self) -> CancelReason {
        match self.0.load(Ordering::Relaxed) {
            1 => CancelReason::Shutdown,
            2 => CancelReason::HedgeLost,
            _ => CancelReason::ClientGone,
        }
    }
}
