//! What a shared call tells all who wait for it.
//!
//! Does not know who they are. Invariant: what only one of them may have is taken once.

use std::sync::{Arc, Mutex};

use seawall_call::CallError;
use seawall_core::{CallId, Fate, Fault, Phase, Priority};

use super::stored::StoredResponse;
use crate::call::ended::Ended;

/// Is what a shared call tells all who wait for it.
#[derive(Clone)]
pub(crate) enum Landed {
    /// An answer; it is whole. If it is not for all, only whoever came first may have it: the
    /// upstream wants to be asked each time.
    Answer { call: CallId, kept: Arc<StoredResponse>, fate: Fate, attempts: u32, is_for_all: bool },
    /// None, for everybody.
    Failed { call: CallId, error: Arc<CallError<Fault>>, by: (Priority, Option<u64>) },
    /// An answer for one of them: whoever came first.
    Apart(Arc<Mutex<Option<Ended>>>),
}

impl Landed {
    /// Returns whether it failed of something of the one it was made for; another one with time
    /// left may fare better.
    pub(super) fn is_its_own(&self, by: (Priority, Option<u64>)) -> bool {
        let Self::Failed { error, by: whose, .. } = self else { return false };
        match &**error {
            // It began before the others came, so its time ran out before theirs.
            CallError::TimedOut { phase, .. } => *phase != Phase::Attempt,
            CallError::RateLimited { .. }
            | CallError::Shed { .. }
            | CallError::QueueFull
            | CallError::QueueTimeout { .. } => *whose != by,
            _ => false,
        }
    }
}
