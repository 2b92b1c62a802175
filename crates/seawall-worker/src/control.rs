//! How a host steers a run, and how a run ends.
//!
//! Does not know: lines, files, calls.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::progress::Progress;

/// The handle by which a host steers a run and sees how far it is.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Cancelled to stop it: no line is begun any more, calls under way end.
    pub drain: CancellationToken,
    /// Cancelled to stop it at once: calls under way are dropped, and made again another time; if
    /// lines are sent at most once, those go to the dead letter file then.
    pub halt: CancellationToken,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunConclusion {
    /// Every line has its outcome.
    Finished,
    /// Every line had its outcome before.
    WasFinished,
    /// It was told to stop, and can go on.
    Stopped,
    /// Too many lines failed; it can go on.
    TooManyFailures,
}
