//! How a server stops: every connection is told, and awaited.
//!
//! Does not know HTTP or sockets. A connection that joins late is told at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::task::TaskTracker;

use seawall_http::server::{ConnectionState, Phase};

/// Knows the connections of one listener.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    /// Awaits the tasks of the connections.
    pub(crate) tasks: TaskTracker,
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    phase: Phase,
    next: u64,
    links: HashMap<u64, Arc<ConnectionState>>,
}

/// Says that a connection is there; dropped when it has ended.
pub(crate) struct Member {
    drain: Drain,
    number: u64,
    pub(crate) link: Arc<ConnectionState>,
}

impl Drain {
    /// Lets a connection join.
    pub(crate) fn join(&self, peer: SocketAddr) -> Member {
        let mut members = self.members();
        let link = Arc::new(ConnectionState::new(peer, members.phase));
        let number = members.next;
        members.next += 1;
        members.links.insert(number, Arc::clone(&link));
        Member { drain: self.clone(), number, link }
    }

    /// Goes on to a later phase and tells every connection; returns how many there are.
    pub(crate) fn advance(&self, phase: Phase) -> usize {
        let mut members = self.members();
        members.phase = members.phase.max(phase);
        let links: Vec<_> = members.links.values().map(Arc::clone).collect();
        drop(members);
        for link in &links {
            link.advance(phase);
        }
        links.len()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.drain.members().links.remove(&self.number);
    }
}
