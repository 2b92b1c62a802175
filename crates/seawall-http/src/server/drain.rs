//! How a server stops: every connection is told, and awaited.
//!
//! Does not know HTTP or sockets. A connection that joins late is told at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::task::TaskTracker;

use super::{ConnectionState, DrainPhase};

/// The connections of one listener, to be told its end.
#[derive(Clone, Default)]
pub(super) struct Drain {
    /// Awaits the tasks of the connections.
    pub(super) tasks: TaskTracker,
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    phase: DrainPhase,
    next: u64,
    states: HashMap<u64, Arc<ConnectionState>>,
}

/// One connection among them, until it is dropped.
pub(super) struct Member {
    drain: Drain,
    number: u64,
    pub(super) state: Arc<ConnectionState>,
}

impl Drain {
    /// Lets a connection join.
    pub(super) fn join(&self, peer: SocketAddr) -> Member {
        let mut members = self.members();
        let state = Arc::new(ConnectionState::new(peer, members.phase));
        let number = members.next;
        members.next += 1;
        members.states.insert(number, Arc::clone(&state));
        Member { drain: self.clone(), number, state }
    }

    /// Goes on to a later phase and tells every connection; returns how many there are.
    pub(super) fn advance(&self, phase: DrainPhase) -> usize {
        let mut members = self.members();
        members.phase = members.phase.max(phase);
        let states: Vec<_> = members.states.values().map(Arc::clone).collect();
        drop(members);
        for state in &states {
            state.advance(phase);
        }
        states.len()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.drain.members().states.remove(&self.number);
    }
}
